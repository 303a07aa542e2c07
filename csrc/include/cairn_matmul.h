// SPDX-License-Identifier: Apache-2.0
/// Matrix products: forward, input gradients, weight gradients.

#ifndef CAIRN_MATMUL_H
#define CAIRN_MATMUL_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// Settings of a product.
typedef struct cairn_matmul_config {
    cairn_precision precision;
    float scale;      ///< Factor on the finished sum; 1 multiplies nothing.
    bool accumulate;  ///< Add the result to C instead of replacing it.
} cairn_matmul_config;

/// A product, or two products summed in one chain.
///
///     C <- [C +] scale * (A B + A2 B2) + bias
///
/// A frozen linear layer with LoRA is one call: A = x, B = W^T, A2 = s x A^T, B2 = B^T.
///
/// - Shapes:   A [m, k], B [k, n], A2 [m, k2], B2 [k2, n], bias [n] or null, C [m, n] with
///             `c_stride` elements from row to row. k2 = 0 leaves A2 and B2 out.
/// - Aliasing: C overlaps no operand.
/// - Numerics: each element is one chain of fused multiply-adds from 0, k ascending and then k2
///             ascending; then times scale, plus bias, plus C, each rounded. With bf16 operands
///             are rounded to nearest even and k is taken in pairs: the odd one first, then the
///             even one; each of the two products ends its last pair with zeros. The same bits for
///             any thread count and instruction set.
///             B in codes is read as the numbers that they stand for, in fp32.
/// - Fails:    CAIRN_STATUS_OUT_OF_MEMORY when the scratch memory cannot grow;
///             CAIRN_STATUS_INVALID_ARGUMENT for A or A2 in codes.
CAIRN_CHECKED cairn_status cairn_matmul(cairn_context *context, const cairn_matmul_config *config,
                                        size_t m, size_t n, size_t k, const cairn_matrix *a,
                                        const cairn_matrix *b, size_t k2,
                                        const cairn_matrix *_Nullable a2,
                                        const cairn_matrix *_Nullable b2,
                                        const float *_Nullable bias, float *c, size_t c_stride);

/// A LoRA pair beside a product: Z = scale * A D, and Z U is added to the product.
typedef struct cairn_adapter {
    size_t rank;
    float scale;
    cairn_matrix down;  ///< D [k, rank]
    cairn_matrix up;    ///< U [rank, n]
    float *projected;   ///< Z [m, rank]
} cairn_adapter;

/// A product with a LoRA pair, in one pass over A.
///
///     Z <- adapter.scale * A D,   C <- [C +] scale * (A B + Z U) + bias
///
/// - Shapes, aliasing: as `cairn_matmul` with A2 = Z and B2 = U; Z is contiguous, overlaps nothing.
/// - Fails:    as `cairn_matmul`; Z may have been written then, C has not.
/// - Numerics: the bits of two calls of `cairn_matmul`.
CAIRN_CHECKED cairn_status cairn_matmul_adapted(
    cairn_context *context, const cairn_matmul_config *config, size_t m, size_t n, size_t k,
    const cairn_matrix *a, const cairn_matrix *b, const cairn_adapter *adapter,
    const float *_Nullable bias, float *c, size_t c_stride);

/// The gradient of a weight: a sum over the rows of a micro-batch, group by group.
///
///     G[o, i] <- G[o, i] + sum over rows t of dy[t, o] x[t, i]
///
/// - Shapes:   dy [rows, out], x [rows, in], G [out, in] (both parts of `gradient`), contiguous;
///             rows is the last entry of `partition->offsets`.
/// - Numerics: within a group each element is one chain of fused multiply-adds over the rows in
///             order, from 0 (from `open` in a resumed group); a finished group is added to `sum`,
///             a suspended one is left in `open`. bf16: rows of one sequence are taken in pairs,
///             odd one first; a sequence of odd length ends with a zero.
CAIRN_CHECKED cairn_status cairn_matmul_gradient(cairn_context *context, cairn_precision precision,
                                                 const cairn_partition *partition, size_t out,
                                                 size_t in, const float *dy, const float *x,
                                                 cairn_gradient gradient);

#pragma clang assume_nonnull end

#endif
