// SPDX-License-Identifier: Apache-2.0
/// Gradients of groups that are kept apart, until they are added to those of other ranks.

import CairnEngine

/// The gradients of every slot, group by group and in sum; each of them one run of memory.
///
/// Every rank lays them out alike: slots in the order of the graph, each from a multiple of 16
/// elements on, zeros between.
package final class GroupGradients {
    /// Elements of a group, padding included.
    package let count: Int
    /// How many groups there is room for.
    package var capacity: Int { groups.count }
    private let groups: [Buffer]
    private let sum: Buffer
    private let places: [GradientSlot: Range<Int>]

    private static let alignment = 16

    convenience init(_ slots: [GradientSlot], groups: Int, context: Context) throws(KernelError) {
        var places: [GradientSlot: Range<Int>] = [:]
        var end = 0
        for slot in slots where places[slot] == nil {
            let count = slot.parameter.elementCount
            places[slot] = end..<end + count
            end += (count + Self.alignment - 1) / Self.alignment * Self.alignment
        }
        try self.init(count: end, groups: groups, places: places, context: context)
    }

    /// Gradients of no graph, for measurements of their sum.
    package convenience init(count: Int, groups: Int, context: Context) throws(KernelError) {
        try self.init(count: count, groups: groups, places: [:], context: context)
    }

    private init(
        count: Int, groups: Int, places: [GradientSlot: Range<Int>], context: Context
    ) throws(KernelError) {
        self.count = count
        self.places = places
        var buffers: [Buffer] = []
        for _ in 0..<groups { buffers.append(try Buffer(byteCount: count * 4, context: context)) }
        self.groups = buffers
        sum = try Buffer(byteCount: count * 4, context: context)
    }

    /// All of the memory.
    var buffers: [Buffer] { groups + [sum] }

    /// One group's gradient of a slot.
    func sum(of slot: GradientSlot, group: Int) -> Floats { self.group(group)[places[slot]!] }

    /// The sum's part of a slot.
    func total(of slot: GradientSlot) -> Floats { total[places[slot]!] }

    /// One group's gradients.
    package func group(_ number: Int) -> Floats {
        precondition(number < groups.count, "group \(number) of \(groups.count) that fit")
        return groups[number].floats(count: count)
    }

    /// Where the sum of all groups of all ranks goes.
    package var total: Floats { sum.floats(count: count) }
}

/// Rows of a micro-batch whose gradient goes to one place.
struct GradientPart {
    let rows: Range<Int>
    let partition: Partition
    /// The group that they are of; nil where groups are added as they come.
    let group: Int?
}

extension Partition {
    /// Every group as a partition of its own, with its rows.
    var byGroup: [(rows: Range<Int>, partition: Partition)] {
        (0..<groupCount).map { group in
            let sequences = Int(groups[group])...Int(groups[group + 1])
            let start = offsets[sequences.lowerBound]
            return (
                Int(start)..<Int(offsets[sequences.upperBound]),
                Partition(
                    offsets: offsets[sequences].map { $0 - start },
                    groups: [0, UInt32(sequences.count - 1)], resumes: resumes && group == 0,
                    suspends: suspends && group == groupCount - 1)
            )
        }
    }
}
