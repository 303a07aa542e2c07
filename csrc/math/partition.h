// SPDX-License-Identifier: Apache-2.0
/// What the gradients of small parameters share: the rows of a group, and where its sum goes.

#ifndef CAIRN_MATH_PARTITION_H
#define CAIRN_MATH_PARTITION_H

#include "cairn_types.h"

/// Columns that one task of such a gradient takes; its sums fill four vectors.
enum { CAIRN_GRADIENT_COLUMNS = 64 };

/// A group of a partition: its rows, and whether it goes on from `open` or is left there.
typedef struct cairn_group {
    size_t begin, end;
    bool resumed, suspended;
} cairn_group;

static inline cairn_group cairn_partition_group(const cairn_partition *partition, size_t group) {
    return (cairn_group){
        .begin = partition->offsets[partition->groups[group]],
        .end = partition->offsets[partition->groups[group + 1]],
        .resumed = group == 0 && partition->resumes,
        .suspended = group + 1 == partition->group_count && partition->suspends,
    };
}

static inline size_t cairn_partition_rows(const cairn_partition *partition) {
    return partition->offsets[partition->sequence_count];
}

/// Whether offsets and groups start at 0, never fall, and cover every sequence.
static inline bool cairn_partition_is_valid(const cairn_partition *partition) {
    const size_t sequences = partition->sequence_count, groups = partition->group_count;
    bool valid = partition->offsets[0] == 0 && partition->groups[0] == 0
        && partition->groups[groups] == sequences;
    for (size_t i = 0; i < sequences; i++)
        valid = valid && partition->offsets[i] <= partition->offsets[i + 1];
    for (size_t i = 0; i < groups; i++)
        valid = valid && partition->groups[i] <= partition->groups[i + 1];
    return valid;
}

#endif
