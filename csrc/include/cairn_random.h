// SPDX-License-Identifier: Apache-2.0
/// Counter-based random numbers: Philox blocks and dropout.

#ifndef CAIRN_RANDOM_H
#define CAIRN_RANDOM_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// One block of Philox4x32-10, in place: four words from a counter and a key.
void cairn_philox(uint32_t counter[_Nonnull 4], const uint32_t key[_Nonnull 2]);

/// Which random numbers a dropout site draws.
typedef struct cairn_dropout_config {
    float probability;  ///< p in [0, 1): the chance that an element becomes 0.
    uint64_t key;       ///< Seed and site together.
    uint32_t step;      ///< The optimizer step.
} cairn_dropout_config;

/// y = x * keep / (1 - p), where keep is 0 with probability p.
///
/// The words for features 4f ... 4f+3 of a row are the block with counter (f, position, row, step)
/// and key `key`; a feature is kept when (word >> 8) * 2^-24 >= p. Neither packing nor threads
/// move a mask. The backward pass is the same call on dy.
///
/// - Shapes: x, y [rows, width]; row_ids, positions [rows]: which row of the step, which token of
///           it. x may be y.
CAIRN_CHECKED cairn_status cairn_dropout(cairn_context *context, const cairn_dropout_config *config,
                                         size_t rows, size_t width, const uint32_t *row_ids,
                                         const uint32_t *positions, const float *x, float *y);

#pragma clang assume_nonnull end

#endif
