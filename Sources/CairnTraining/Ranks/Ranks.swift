// SPDX-License-Identifier: Apache-2.0
/// The processes that train one model together: what a run knows of there being several.

import CairnEngine

/// One process among those of a run. All of them read the same files and hold the same state; each
/// trains its part of every step's rows, and the first alone writes.
///
/// Every call that speaks with the others must be made by all of them, in the same order.
public final class Ranks {
    /// This process, from 0.
    public let rank: Int
    /// How many there are.
    public let size: Int
    package let transport: (any Transport)?

    /// The only process of its run.
    public static var one: Ranks { Ranks() }

    private init() { (rank, size, transport) = (0, 1, nil) }

    /// One of several.
    package init(_ transport: any Transport) {
        (rank, size) = (transport.rank, transport.size)
        self.transport = transport
    }

    /// The ranks that mpirun, mpiexec or srun started, of which this process is one; call it once.
    ///
    /// - Throws: `TransportError` without MPI in the build, or when it cannot be entered.
    public static func launched() throws -> Ranks { Ranks(try MPI.open()) }

    /// Whether a build can have more than one rank.
    public static var isBuiltIn: Bool { MPI.isBuiltIn }

    /// Whether this process writes.
    public var isFirst: Bool { rank == 0 }

    /// Leaves the others, when all of them are done.
    public func close() throws { try transport?.close() }

    /// Ends all ranks after an error that the others do not know of.
    public func abandon() { transport?.abandon() }

    // MARK: Agreement

    /// What every rank gives, in their order.
    ///
    /// Everything goes to the first rank and from there to all: 2 messages one after the other.
    func gather(_ bytes: [UInt8]) throws -> [[UInt8]] {
        guard let transport else { return [bytes] }
        guard isFirst else {
            try transport.send(bytes, to: 0)
            return try Packet.parts(try transport.receive(from: 0))
        }
        let parts = [bytes] + (try (1..<size).map { try transport.receive(from: $0) })
        let all = Packet.joined(parts)
        for other in 1..<size { try transport.send(all, to: other) }
        return parts
    }

    /// Runs what may fail on some ranks, and fails on all if it does on one: then nobody waits for a
    /// rank that left.
    ///
    /// - Throws: the error itself where there is one rank; `RanksError.failed` with the first error.
    public func together<Result>(_ body: () throws -> Result) throws -> Result {
        guard size > 1 else { return try body() }
        let result = Swift.Result(catching: body)
        var sentence = ""
        if case .failure(let error) = result { sentence = "\(error)" }
        let sentences = try gather(Array(sentence.utf8)).map { String(decoding: $0, as: UTF8.self) }
        if let rank = sentences.firstIndex(where: { !$0.isEmpty }) {
            throw RanksError.failed(
                rank: sentences.allSatisfy { $0 == sentences[rank] } ? nil : rank,
                reason: sentences[rank])
        }
        return try result.get()
    }

    /// Returns when all ranks have called it.
    package func barrier() throws { _ = try gather([]) }

    /// The largest of the ranks' numbers.
    package func largest(_ number: Double) throws -> Double {
        var packet = Packet()
        packet.add(Int(bitPattern: UInt(number.bitPattern)))
        return try gather(packet.bytes).map { bytes in
            var part = Packet(bytes)
            return Double(bitPattern: UInt64(UInt(bitPattern: try part.number())))
        }.max()!
    }

    /// Makes sure that all ranks have the same of something.
    ///
    /// - Throws: `RanksError.differ`.
    func requireSame(_ text: @autoclosure () throws -> String, what: String) throws {
        guard size > 1 else { return }
        let texts = try gather(Array(try text().utf8)).map { String(decoding: $0, as: UTF8.self) }
        if let other = texts.firstIndex(where: { $0 != texts[0] }) {
            throw RanksError.differ(what: what, rank: other, first: texts[0], other: texts[other])
        }
    }
}

/// Why ranks cannot train together, or no longer.
public enum RanksError: Error, Equatable, CustomStringConvertible {
    /// A rank could not go on; nil when none could.
    case failed(rank: Int?, reason: String)
    /// Two ranks have not the same.
    case differ(what: String, rank: Int, first: String, other: String)
    /// More ranks than groups of rows.
    case tooMany(ranks: Int, groups: Int)
    /// A message of another rank is not what it must be.
    case garbled

    public var description: String {
        switch self {
        case .failed(let rank, let reason): "\(rank.map { "rank \($0): " } ?? "")\(reason)"
        case .garbled: "a message of another rank ends too early"
        case .differ(let what, let rank, let first, let other):
            "rank \(rank) has another \(what) than rank 0: expected \(first), found \(other); "
                + "do all of them see the same files and run the same program?"
        case .tooMany(let ranks, let groups):
            "the rows of a step fall into \(groups) groups, of which each rank takes whole ones: "
                + "expected at most \(groups) ranks, found \(ranks); a new run may have more groups "
                + "('--groups N')"
        }
    }
}
