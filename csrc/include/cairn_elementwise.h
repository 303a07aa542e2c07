// SPDX-License-Identifier: Apache-2.0
/// Operations on one element, or one column, at a time.

#ifndef CAIRN_ELEMENTWISE_H
#define CAIRN_ELEMENTWISE_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// A function of one number.
typedef enum CAIRN_CLOSED cairn_activation : int32_t {
    CAIRN_ACTIVATION_SILU CAIRN_AS("silu") = 0,            ///< x / (1 + exp(-x))
    CAIRN_ACTIVATION_GELU CAIRN_AS("gelu") = 1,            ///< x (1 + erf(x / sqrt 2)) / 2
    CAIRN_ACTIVATION_GELU_TANH CAIRN_AS("geluTanh") = 2,   ///< the tanh approximation
    CAIRN_ACTIVATION_RELU CAIRN_AS("relu") = 3,            ///< max(x, 0); NaN stays NaN
    CAIRN_ACTIVATION_TANH CAIRN_AS("tanh") = 4,
} cairn_activation;

/// y = f(x). - Shapes: [count]. x may be y.
CAIRN_CHECKED cairn_status cairn_activation_forward(cairn_context *context,
                                                    cairn_activation function, size_t count,
                                                    const float *x, float *y);

/// y = f(x) and slope = f'(x): what the gradient then needs of x is slope, dx = dy * slope, with
/// the bits of `cairn_activation_backward`.
///
/// - Shapes: [count]. x may be slope or y; slope and y are two arrays.
CAIRN_CHECKED cairn_status cairn_activation_slope(cairn_context *context,
                                                  cairn_activation function, size_t count,
                                                  const float *x, float *y, float *slope);

/// dx = dy f'(x). dy may be dx.
CAIRN_CHECKED cairn_status cairn_activation_backward(cairn_context *context,
                                                     cairn_activation function, size_t count,
                                                     const float *x, const float *dy, float *dx);

/// y = f(gate) * up: the gated unit of Llama's feed-forward layer.
CAIRN_CHECKED cairn_status cairn_gated_forward(cairn_context *context, cairn_activation function,
                                               size_t count, const float *gate, const float *up,
                                               float *y);

/// d_gate = dy up f'(gate), d_up = dy f(gate).
CAIRN_CHECKED cairn_status cairn_gated_backward(cairn_context *context, cairn_activation function,
                                                size_t count, const float *gate, const float *up,
                                                const float *dy, float *d_gate, float *d_up);

/// y = a + scale * b; one fused multiply-add. y may be a or b.
CAIRN_CHECKED cairn_status cairn_add(cairn_context *context, size_t count, const float *a,
                                     float scale, const float *b, float *y);

/// y = a * b. y may be a or b.
CAIRN_CHECKED cairn_status cairn_multiply(cairn_context *context, size_t count, const float *a,
                                          const float *b, float *y);

/// y = scale * x. y may be x.
CAIRN_CHECKED cairn_status cairn_scale(cairn_context *context, size_t count, float scale,
                                       const float *x, float *y);

/// y[t, j] = z[t, j] * (numerator[j] / denominator[j]) + bias[j]: DoRA's column factor.
///
/// - Shapes: z, y [rows, width]; numerator, denominator [width]; bias [width] or null.
CAIRN_CHECKED cairn_status cairn_scale_columns_forward(cairn_context *context, size_t rows,
                                                       size_t width, const float *z,
                                                       const float *numerator,
                                                       const float *denominator,
                                                       const float *_Nullable bias, float *y);

/// dz[t, j] = dy[t, j] * (numerator[j] / denominator[j]).
CAIRN_CHECKED cairn_status cairn_scale_columns_backward(cairn_context *context, size_t rows,
                                                        size_t width, const float *dy,
                                                        const float *numerator,
                                                        const float *denominator, float *dz);

/// d_numerator[j] += sum over rows of dy[t, j] * z[t, j] / denominator[j], in groups.
CAIRN_CHECKED cairn_status cairn_scale_columns_gradient(cairn_context *context,
                                                        const cairn_partition *partition,
                                                        size_t width, const float *dy,
                                                        const float *z, const float *denominator,
                                                        cairn_gradient d_numerator);

/// norm[o] = sqrt(sum over i of (W[o, i] + scale * sum over r of B[o, r] A[r, i])^2).
///
/// - Shapes: W [out, in] of `dtype`, A [rank, in], B [out, rank], norm [out].
/// - Source: Liu et al. 2024 (arXiv:2402.09353), equation 5.
CAIRN_CHECKED cairn_status cairn_dora_norm(cairn_context *context, size_t out, size_t in,
                                           size_t rank, float scale, const void *w,
                                           cairn_dtype dtype, const float *a, const float *b,
                                           float *norm);

/// Bias gradient: db[j] += sum over rows of dy[t, j], in groups.
CAIRN_CHECKED cairn_status cairn_bias_gradient(cairn_context *context,
                                               const cairn_partition *partition, size_t width,
                                               const float *dy, cairn_gradient db);

/// Widens `count` stored weights to fp32; exact, but for codes, whose numbers are rounded once.
CAIRN_CHECKED cairn_status cairn_widen(cairn_context *context, size_t count, const void *source,
                                       cairn_dtype dtype, float *destination);

#pragma clang assume_nonnull end

#endif
