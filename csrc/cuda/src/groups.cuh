// SPDX-License-Identifier: Apache-2.0
/// Gradients in groups: which rows a group has, where its sums start and where they go.

#ifndef CAIRN_CUDA_GROUPS_CUH
#define CAIRN_CUDA_GROUPS_CUH

#include "context.h"

namespace cairn {

/// Groups that one launch takes; a step has eight, and a micro-batch parts of some of them.
constexpr size_t GROUPS = 64;

/// Part of a partition and where its sums go, small enough to be an argument of a kernel.
struct Groups {
    cairn_gradient gradient;
    uint32_t count;
    bool resumes, suspends;
    uint32_t rows[GROUPS + 1];  ///< First row of each group, then the end.

    __host__ __device__ bool is_resumed(size_t group) const { return group == 0 && resumes; }
    __host__ __device__ bool is_suspended(size_t group) const {
        return group + 1 == count && suspends;
    }
};

/// Whether offsets and groups start at 0, never fall, and cover every sequence.
inline bool is_valid(const cairn_partition *partition) {
    const size_t sequences = partition->sequence_count, groups = partition->group_count;
    bool valid = partition->offsets[0] == 0 && partition->groups[0] == 0
        && partition->groups[groups] == sequences;
    for (size_t i = 0; i < sequences; i++)
        valid = valid && partition->offsets[i] <= partition->offsets[i + 1];
    for (size_t i = 0; i < groups; i++)
        valid = valid && partition->groups[i] <= partition->groups[i + 1];
    return valid;
}

/// Groups first ..< first + GROUPS of a partition, or what is left of it.
inline Groups groups_from(const cairn_partition *partition, size_t first,
                          cairn_gradient gradient) {
    const size_t left = partition->group_count - first, count = left < GROUPS ? left : GROUPS;
    Groups groups = {};
    groups.gradient = gradient;
    groups.count = (uint32_t)count;
    groups.resumes = first == 0 && partition->resumes;
    groups.suspends = first + count == partition->group_count && partition->suspends;
    for (size_t i = 0; i <= count; i++)
        groups.rows[i] = partition->offsets[partition->groups[first + i]];
    return groups;
}

/// Group `index` of a partition alone.
inline Groups group_of(const cairn_partition *partition, size_t index,
                       cairn_gradient gradient) {
    Groups group = {};
    group.gradient = gradient;
    group.count = 1;
    group.resumes = index == 0 && partition->resumes;
    group.suspends = index + 1 == partition->group_count && partition->suspends;
    group.rows[0] = partition->offsets[partition->groups[index]];
    group.rows[1] = partition->offsets[partition->groups[index + 1]];
    return group;
}

/// The gradient of one column: `term` adds a row to the sum so far, rows in order.
///
/// `repeats` is the number of rows of the terms per row of the partition.
template <class Term>
__device__ __forceinline__ void sum_column(const Groups &groups, size_t repeats, size_t column,
                                           Term term) {
    const cairn_gradient gradient = groups.gradient;
    for (size_t g = 0; g < groups.count; g++) {
        float sum = groups.is_resumed(g) ? gradient.open[column] : 0;
        const size_t end = groups.rows[g + 1] * repeats;
        for (size_t t = groups.rows[g] * repeats; t < end; t++) sum = term(t, sum);
        if (groups.is_suspended(g)) {
            gradient.open[column] = sum;
        } else {
            gradient.sum[column] += sum;
            if (groups.is_resumed(g)) gradient.open[column] = 0;
        }
    }
}

/// Threads of a block that sums columns, one each.
constexpr int COLUMN_BLOCK = 64;

inline unsigned column_blocks(size_t width) {
    return (unsigned)((width + COLUMN_BLOCK - 1) / COLUMN_BLOCK);
}

}  // namespace cairn

#endif
