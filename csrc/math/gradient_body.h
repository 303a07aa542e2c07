// SPDX-License-Identifier: Apache-2.0
/// Where the sums of a gradient in groups start and where they go; see cairn_partition.

#ifndef CAIRN_GRADIENT_BODY_H
#define CAIRN_GRADIENT_BODY_H

#include "math/partition.h"

enum { GRADIENT_VECTORS = CAIRN_GRADIENT_COLUMNS / LANES };

/// The sums of columns `begin` to `end` at the start of a group: zero, or what it left open.
CAIRN_INLINE void gradient_begin(cairn_group group, cairn_gradient gradient, size_t begin,
                                 size_t end, v16 acc[GRADIENT_VECTORS]) {
    for (size_t v = 0; v < GRADIENT_VECTORS; v++) {
        const size_t j = begin + v * LANES;
        acc[v] = group.resumed && j < end ? v16_load_some(gradient.open + j, end - j) : v16_zero();
    }
}

/// Leaves a suspended group in `open`; adds a finished one to `sum` and clears what it had open.
CAIRN_INLINE void gradient_end(cairn_group group, cairn_gradient gradient, size_t begin, size_t end,
                               const v16 acc[GRADIENT_VECTORS]) {
    for (size_t j = begin, v = 0; j < end; j += LANES, v++) {
        const size_t left = end - j;
        if (group.suspended) {
            v16_store_some(gradient.open + j, acc[v], left);
        } else {
            v16_store_some(gradient.sum + j, v16_load_some(gradient.sum + j, left) + acc[v], left);
            if (group.resumed) v16_store_some(gradient.open + j, v16_zero(), left);
        }
    }
}

#endif
