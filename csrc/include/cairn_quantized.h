// SPDX-License-Identifier: Apache-2.0
/// Weights in 8 and 4 bits: made from stored ones, and multiplied.

#ifndef CAIRN_QUANTIZED_H
#define CAIRN_QUANTIZED_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// Rounds each row of a weight to 8 bits.
///
///     scales[o] = m / 127,   codes[o, i] = round(W[o, i] * (127 / m)),   m = max over i of |W[o, i]|
///
/// - Shapes:   W [rows, columns] contiguous, in fp32, bf16 or fp16; codes [rows, stride], stride the
///             next multiple of 64; scales and sums [rows].
/// - Numerics: both quotients and the product are rounded once, then to the nearest integer, halves
///             to even. A row whose m is below 2^-100 counts as zeros; one with a number that is not
///             finite has NaN for its scale. The same bits for any thread count and instruction set.
/// - Fails:    CAIRN_STATUS_INVALID_ARGUMENT when columns is 0 or above 133144, of which a product's
///             sums would not fit, or the weight is stored in codes already.
CAIRN_CHECKED cairn_status cairn_quantize_int8(cairn_context *context, size_t rows, size_t columns,
                                               const void *w, cairn_dtype dtype, int8_t *codes,
                                               float *scales, int32_t *sums);

/// Rounds a weight to 4 bits, block by block, and the scales of the blocks to 8, group by group.
///
///     code[e] = the index of the value in the table nearest to W[e] * (1 / m(b)), ties to the lower,
///     with m(b) = max of |W| over block b;   offset(g), step(g) = (low + high) / 2, (high - low) / 254,
///     scales[b] = round((m(b) - offset(g)) * (127 / ((high - low) / 2))),
///     with low and high the least and the largest m of group g
///
/// - Shapes:   W of `count` elements, contiguous, in fp32, bf16 or fp16; the arrays of `cairn_nf4`.
/// - Numerics: as above. A block whose m is below 2^-100 counts as zeros, a group whose half range is
///             so has the step 0; a group with a number that is not finite has NaN for its offset.
/// - Fails:    CAIRN_STATUS_INVALID_ARGUMENT when the weight is stored in codes already.
/// - Source:   Dettmers et al. 2023 (arXiv:2305.14314); of its second quantisation the group of 256,
///             here with a middle per group and even steps.
CAIRN_CHECKED cairn_status cairn_quantize_nf4(cairn_context *context, size_t count, const void *w,
                                              cairn_dtype dtype, uint8_t *codes, int8_t *scales,
                                              float *groups);

/// A product whose operands are both in 8 bits: those of W are given, each row of x is rounded as a
/// row of a weight is, to codes q(x) with the scale s(x).
///
///     C[t, o] <- (sum over i of q(x)[t, i] codes[o, i]) * s(x)[t] * scales[o] + bias[o]
///
/// - Shapes:   x [m, w->columns], W [n, w->columns], bias [n] or null, C [m, n]; all contiguous.
/// - Aliasing: C overlaps no operand.
/// - Numerics: the sum is an exact integer, then rounded to fp32, then times, times, plus, each
///             rounded. A row of x with a number that is not finite gives NaN. The same bits for any
///             thread count and instruction set, and for a row whatever the others are.
/// - Fails:    CAIRN_STATUS_OUT_OF_MEMORY when the scratch memory cannot grow.
CAIRN_CHECKED cairn_status cairn_matmul_int8(cairn_context *context, size_t m, size_t n,
                                             const float *x, const cairn_int8 *w,
                                             const float *_Nullable bias, float *c);

#pragma clang assume_nonnull end

#endif
