// SPDX-License-Identifier: Apache-2.0
/// The all-reduce over the host's memory: gradients of groups, added in the order of the groups over all ranks.

import CairnEngine
import CairnGraph

/// Adds up the groups of all ranks as one process would: ((g0 + g1) + g2) + ...
///
/// Rank r holds the groups behind those of rank r - 1. A chunk of the sum travels up the ranks, each
/// of which adds its groups to it, one by one; from the last rank the finished chunk travels down
/// again. Both ways are used at once, chunk after chunk, so that for S bytes of gradients, links of
/// B bytes per second each way, a latency of L and chunks of C bytes the time is about
///
///     S / B + 2 (ranks - 1) (C / B + L)
///
/// and a rank sends and receives 2 S bytes (the first and the last: S), however many there are. A
/// ring would add the groups in another order at every place, and so give other bits.
package final class GradientChain {
    private let transport: any Transport
    private let gradients: GroupGradients
    private let context: Context
    private let chunk: Int
    private let sum: Buffer
    var rank: Int { transport.rank }
    private let inbox: Letter
    private let upward: Outbox
    private let downward: Outbox

    /// - Parameter chunk: elements of a message; nil chooses.
    package init(
        _ transport: any Transport, _ gradients: GroupGradients, context: Context,
        chunk: Int? = nil
    ) throws {
        self.transport = transport
        self.gradients = gradients
        self.context = context
        let chunk = chunk ?? Self.chunk(gradients.count, ranks: transport.size)
        self.chunk = chunk
        sum = try Buffer(byteCount: 4 * chunk, context: context)
        inbox = Letter(chunk)
        upward = Outbox(transport, to: transport.rank + 1, elements: chunk)
        downward = Outbox(transport, to: transport.rank - 1, elements: chunk)
    }

    /// Chunks that a rank is ahead of those that could be back, so that a late one does not stop the
    /// way up. More than half of `Outbox.depth` could let two ranks wait for each other.
    private static let slack = 2

    /// Elements of a chunk: so few that the way through the ranks is short beside the whole, but
    /// enough that a message costs more in bytes than in latency: 16 KB to 256 KB.
    package static func chunk(_ count: Int, ranks: Int) -> Int {
        min(max(count / (2 * ranks), 1 << 12), 1 << 16)
    }

    /// Fills `gradients.total` with the sum of all ranks' groups, the same bits on every one.
    ///
    /// - Parameter groups: how many of the groups that fit this step has here.
    package func run(groups: Int) throws {
        let count = gradients.count
        let chunks = (count + chunk - 1) / chunk
        let (rank, last) = (transport.rank, transport.size - 1)
        // A chunk needs so many steps to the last rank and back.
        let lag = rank == last ? 0 : 2 * (last - rank) + Self.slack
        for step in 0..<chunks + lag {
            if step < chunks {
                let range = step * chunk..<min((step + 1) * chunk, count)
                let part = try added(range, groups: groups)
                try (rank == last ? downward : upward).post(range.count) { memory in
                    context.read(part, into: memory)
                    if rank == last {
                        context.write(UnsafeBufferPointer(memory), to: gradients.total[range])
                    }
                }
            }
            let back = step - lag
            if rank < last, back >= 0, back < chunks {
                let range = back * chunk..<min((back + 1) * chunk, count)
                try downward.post(range.count) { memory in
                    try transport.receive(
                        into: UnsafeMutableRawBufferPointer(memory), from: rank + 1)
                    context.write(UnsafeBufferPointer(memory), to: gradients.total[range])
                }
            }
        }
        try upward.finish()
        try downward.finish()
    }

    /// What the ranks before have of a chunk, and the groups of this one behind it.
    private func added(_ range: Range<Int>, groups: Int) throws -> Floats {
        let part = sum.floats(count: range.count)
        if transport.rank == 0 {
            context.zero(part)
        } else {
            let memory = inbox.first(range.count)
            try transport.receive(
                into: UnsafeMutableRawBufferPointer(memory), from: transport.rank - 1)
            context.write(UnsafeBufferPointer(memory), to: part)
        }
        for group in 0..<groups {
            try context.add(part, gradients.group(group)[range], into: part)
        }
        return part
    }
}

/// The memory of one message.
private final class Letter {
    private let numbers: UnsafeMutableBufferPointer<Float>
    /// What `Transport.start` gave, while it is on its way.
    var message: UInt64?

    init(_ count: Int) { numbers = .allocate(capacity: count) }

    deinit { numbers.deallocate() }

    func first(_ count: Int) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(rebasing: numbers[..<count])
    }
}

/// Messages to one rank that are on their way.
private final class Outbox {
    private let transport: any Transport
    private let rank: Int
    private let letters: [Letter]
    private var next = 0

    /// So many messages may be on their way to a rank that has not asked for them yet.
    private static let depth = 4

    init(_ transport: any Transport, to rank: Int, elements: Int) {
        self.transport = transport
        self.rank = rank
        letters = (0..<Self.depth).map { _ in Letter(elements) }
    }

    /// Fills a message and sends it off; where there is no such rank it is only filled.
    func post(
        _ count: Int, _ fill: (UnsafeMutableBufferPointer<Float>) throws -> Void
    ) throws {
        let letter = letters[next]
        next = (next + 1) % letters.count
        try finish(letter)
        let numbers = letter.first(count)
        try fill(numbers)
        guard rank >= 0, rank < transport.size else { return }
        letter.message = try transport.start(UnsafeRawBufferPointer(numbers), to: rank)
    }

    /// Waits until nothing is on its way.
    func finish() throws {
        for letter in letters { try finish(letter) }
    }

    private func finish(_ letter: Letter) throws {
        if let message = letter.message { try transport.finish(message) }
        letter.message = nil
    }
}
