// SPDX-License-Identifier: Apache-2.0
/// Attention over sequences of any length, and rotary position embedding.

#ifndef CAIRN_ATTENTION_H
#define CAIRN_ATTENTION_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// What attends to what. Sequences are packed; queries may be a subset of the rows.
typedef struct cairn_attention_config {
    size_t heads;     ///< Query heads; a multiple of kv_heads.
    size_t kv_heads;  ///< Heads of keys and values; query head h reads h / (heads / kv_heads).
    size_t head_dim;
    float scale;     ///< Factor on q . k, 1/sqrt(head_dim) as a rule.
    bool causal;     ///< A query at position p sees keys at positions 0...p of its sequence.
    size_t window;   ///< With causal: only the last `window` of them; 0 means all.
    size_t sequence_count;
    const uint32_t *query_offsets;  ///< [sequence_count + 1]
    const uint32_t *key_offsets;    ///< [sequence_count + 1]
    const uint32_t *query_positions;  ///< [queries]: place of each query in its sequence.
} cairn_attention_config;

/// o = softmax(scale * q k^T + mask) v, per sequence and head, without a T x T matrix.
///
/// - Shapes:   q, o [queries, heads * head_dim]; k, v [keys, kv_heads * head_dim];
///             log_sums [queries, heads], the logarithm of each row's sum of exponentials.
/// - Numerics: keys are taken in tiles of a fixed size counted from the start of the sequence, with
///             a running maximum, and the exponentials of a row are added key by key; neither
///             packing nor threads change a bit. A query that sees no key gives zeros and
///             log_sum = -inf; a NaN among its inputs gives NaN.
/// - Source:   Dao et al. 2022 (arXiv:2205.14135), Algorithm 1.
CAIRN_CHECKED cairn_status cairn_attention_forward(cairn_context *context,
                                                   const cairn_attention_config *config,
                                                   const float *q, const float *k, const float *v,
                                                   float *o, float *log_sums);

/// Gradients of `cairn_attention_forward`; every element of dq, dk, dv is written.
///
/// - Numerics: dk and dv sum over the query heads of a group and over queries, both ascending.
CAIRN_CHECKED cairn_status cairn_attention_backward(cairn_context *context,
                                                    const cairn_attention_config *config,
                                                    const float *q, const float *k, const float *v,
                                                    const float *o, const float *log_sums,
                                                    const float *d_o, float *dq, float *dk,
                                                    float *dv);

/// Angles of rotary embedding: cosine[p, j] = cos(p * f[j]), sine likewise, p = 0..<positions.
///
/// Computed in double with this library's own polynomials and rounded once.
///
/// - Shapes: f [half], cosine and sine [positions, half].
void cairn_rope_table(size_t positions, size_t half, const double *frequencies, float *cosine,
                      float *sine);

/// base^exponent in double with this library's own exponential and logarithm; base > 0, finite.
double cairn_power(double base, double exponent);

/// Rotates each head of each row by its position, in the half-split layout of Hugging Face.
///
///     y[j]        = x[j] cos - x[j + half] sin
///     y[j + half] = x[j + half] cos + x[j] sin
///
/// `inverse` rotates by the negative angle, which is the backward pass.
///
/// - Shapes: x, y [rows, heads * 2 half], positions [rows]; x may be y.
/// - Numerics: the two products of each element: fma(first, cos, rounded second product).
CAIRN_CHECKED cairn_status cairn_rope(cairn_context *context, size_t rows, size_t heads,
                                      size_t half, const uint32_t *positions, const float *cosine,
                                      const float *sine, bool inverse, const float *x, float *y);

#pragma clang assume_nonnull end

#endif
