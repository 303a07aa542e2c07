// SPDX-License-Identifier: Apache-2.0
/// Signatures of the random kernels that each instruction set is built with.

#ifndef CAIRN_RANDOM_KERNELS_H
#define CAIRN_RANDOM_KERNELS_H

#include "cairn_random.h"

typedef struct cairn_random_kernels {
    /// An element is kept, times `factor`, when its word's upper 24 bits are at least `threshold`.
    void (*dropout)(uint64_t key, uint32_t step, int32_t threshold, float factor, size_t rows,
                    size_t width, const uint32_t *row_ids, const uint32_t *positions,
                    const float *x, float *y);
} cairn_random_kernels;

#endif
