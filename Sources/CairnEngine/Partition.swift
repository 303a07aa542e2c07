// SPDX-License-Identifier: Apache-2.0
/// Which rows of a micro-batch belong to which sequence, and which sequences to which group.

internal import CCairn

/// The groups of an optimizer step that a micro-batch holds, or parts of them.
///
/// A weight gradient accumulates within a group, row by row; a finished group is added to the
/// sum, groups in order. So a gradient has the same bits however a step is cut in micro-batches.
package struct Partition: Sendable, Equatable {
    /// First row of each sequence, then the number of rows.
    package let offsets: [UInt32]
    /// First sequence of each group, then the number of sequences.
    package let groups: [UInt32]
    /// The first group began in an earlier micro-batch.
    package let resumes: Bool
    /// The last group goes on in a later micro-batch.
    package let suspends: Bool

    package init(
        offsets: [UInt32], groups: [UInt32], resumes: Bool = false, suspends: Bool = false
    ) {
        requireAscending(offsets, "offsets of a partition")
        requireAscending(groups, "groups of a partition")
        require(Int(groups[groups.count - 1]), offsets.count - 1, "end of groups", "Partition")
        precondition(
            groups.count > 1 || !(resumes || suspends),
            "a partition of 0 groups neither resumes (\(resumes)) nor suspends (\(suspends)) one")
        self.offsets = offsets
        self.groups = groups
        self.resumes = resumes
        self.suspends = suspends
    }

    package var rows: Int { Int(offsets[offsets.count - 1]) }
    package var sequenceCount: Int { offsets.count - 1 }
    package var groupCount: Int { groups.count - 1 }

    /// Lends the partition to C for the duration of `body`.
    func withNative<Result>(_ body: (UnsafePointer<cairn_partition>) -> Result) -> Result {
        offsets.withUnsafeBufferPointer { offsets in
            groups.withUnsafeBufferPointer { groups in
                // Never nil: both arrays have at least one element.
                var native = cairn_partition(
                    sequence_count: sequenceCount, offsets: offsets.baseAddress!,
                    group_count: groupCount, groups: groups.baseAddress!, resumes: resumes,
                    suspends: suspends)
                return body(&native)
            }
        }
    }
}

/// Traps unless `offsets` begins with 0 and never descends.
func requireAscending(_ offsets: [UInt32], _ name: @autoclosure () -> String) {
    precondition(offsets.first == 0, "\(name()) begin with 0, got \(offsets.first as UInt32?)")
    for index in offsets.indices.dropFirst() {
        precondition(
            offsets[index - 1] <= offsets[index],
            "\(name()) descend from \(offsets[index - 1]) to \(offsets[index]) at \(index)")
    }
}
