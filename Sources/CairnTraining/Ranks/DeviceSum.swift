// SPDX-License-Identifier: Apache-2.0
/// The all-reduce of ranks whose devices reach each other: parts are moved, and added in grid order.

import CairnEngine
import CairnGraph

/// Adds up the groups of all ranks on their devices, in the order of one process.
///
/// Every rank owns a slice of the gradients. The others send it their groups' parts of the slice, it
/// adds all of them in order, and sends the finished slice to all. Nothing is added on the way, so
/// that no transport decides about an order. For S bytes of gradients, R ranks and G groups a rank
/// receives
///
///     S (R - 1) / R (G / R + 1)
///
/// bytes a step, in two exchanges for every piece of the slices: with a group per rank that is
/// 2 S (R - 1) / R, what a ring takes.
package final class DeviceSum: GroupSum {
    private let transport: any DeviceTransport
    private let rank: Int
    private let size: Int
    private let gradients: GroupGradients
    private let context: Context
    private let piece: Int
    private let inbox: Buffer

    /// Bytes of other ranks' parts that a device holds at once, at most.
    static let mostInboxBytes = 32 << 20
    private static let alignment = 16

    /// - Parameters:
    ///   - groups: how many all ranks have together, at most.
    ///   - piece: elements of a slice that travel at once; nil chooses.
    package init(
        _ transport: any DeviceTransport, rank: Int, size: Int, groups: Int,
        _ gradients: GroupGradients, context: Context, piece: Int? = nil
    ) throws {
        self.transport = transport
        self.rank = rank
        self.size = size
        self.gradients = gradients
        self.context = context
        let longest = (0..<size).map { Self.slice($0, of: size, gradients.count).count }.max()!
        self.piece = max(1, piece ?? min(longest, Self.mostInboxBytes / (4 * groups)))
        inbox = try Buffer(byteCount: 4 * self.piece * groups, context: context)
    }

    /// The elements that a rank adds up.
    package static func slice(_ rank: Int, of size: Int, _ count: Int) -> Range<Int> {
        let blocks = (count + alignment - 1) / alignment
        func edge(_ rank: Int) -> Int { min(rank * blocks / size * alignment, count) }
        return edge(rank)..<edge(rank + 1)
    }

    package func add(groupsOf counts: [Int]) throws {
        precondition(counts.count == size, "\(counts.count) counts of groups for \(size) ranks")
        let slices = (0..<size).map { Self.slice($0, of: size, gradients.count) }
        let longest = slices.map(\.count).max()!
        for start in stride(from: 0, to: longest, by: piece) {
            let parts = slices.map { slice in
                let lower = min(slice.lowerBound + start, slice.upperBound)
                return lower..<min(lower + piece, slice.upperBound)
            }
            try gather(parts, counts)
            try spread(parts)
        }
    }

    /// Fills this rank's part of the sum.
    private func gather(_ parts: [Range<Int>], _ counts: [Int]) throws {
        let own = parts[rank]
        var parcels: [Parcel] = []
        var terms: [Floats] = []
        var place = 0
        for other in 0..<size {
            for group in 0..<counts[other] where other == rank {
                terms.append(gradients.group(group)[own])
            }
            guard other != rank else { continue }
            for group in 0..<counts[rank] where !parts[other].isEmpty {
                parcels.append(.sent(gradients.group(group)[parts[other]], to: other))
            }
            for _ in 0..<counts[other] where !own.isEmpty {
                let term = inbox.floats(offset: place, count: own.count)
                parcels.append(.received(into: term, from: other))
                terms.append(term)
                place += own.count
            }
        }
        try transport.exchange(parcels)
        let sum = gradients.total[own]
        context.zero(sum)
        guard !own.isEmpty else { return }
        for term in terms { try context.add(sum, term, into: sum) }
    }

    /// Gives every rank's part of the sum to all.
    private func spread(_ parts: [Range<Int>]) throws {
        var parcels: [Parcel] = []
        for other in 0..<size where other != rank {
            if !parts[rank].isEmpty {
                parcels.append(.sent(gradients.total[parts[rank]], to: other))
            }
            if !parts[other].isEmpty {
                parcels.append(.received(into: gradients.total[parts[other]], from: other))
            }
        }
        try transport.exchange(parcels)
    }
}
