// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm.

#ifndef CAIRN_NORMALIZATION_H
#define CAIRN_NORMALIZATION_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// y = x / sqrt(mean(x^2) + epsilon) * w, over each run of `width` elements.
///
/// - Shapes: x, y [rows, width], w [width] of `dtype`, inverse_rms [rows]. A norm per head is a
///           call with rows = tokens * heads and width = head_dim.
/// - Source: Zhang & Sennrich 2019 (arXiv:1910.07467).
CAIRN_CHECKED cairn_status cairn_rms_norm_forward(cairn_context *context, size_t rows, size_t width,
                                                  float epsilon, const float *x, const void *w,
                                                  cairn_dtype dtype, float *y, float *inverse_rms);

/// Input gradient: dx = r (w dy - x r^2 mean(w dy x)), r = inverse_rms.
CAIRN_CHECKED cairn_status cairn_rms_norm_backward(cairn_context *context, size_t rows,
                                                   size_t width, const float *x, const void *w,
                                                   cairn_dtype dtype, const float *inverse_rms,
                                                   const float *dy, float *dx);

/// Weight gradient: dw[j] += sum over rows of dy[., j] x[., j] r, in groups (`cairn_partition`).
///
/// `repeats` is the number of runs of `width` per row of the partition (heads, or 1).
CAIRN_CHECKED cairn_status cairn_rms_norm_weight_gradient(cairn_context *context,
                                                          const cairn_partition *partition,
                                                          size_t repeats, size_t width,
                                                          const float *x, const float *inverse_rms,
                                                          const float *dy, cairn_gradient dw);

/// y = (x - mean(x)) / sqrt(var(x) + epsilon) * w + b, var without Bessel's correction.
///
/// - Shapes: x, y [rows, width], w, b [width] of `dtype`, mean and inverse_deviation [rows].
/// - Source: Ba et al. 2016 (arXiv:1607.06450).
CAIRN_CHECKED cairn_status cairn_layer_norm_forward(cairn_context *context, size_t rows,
                                                    size_t width, float epsilon, const float *x,
                                                    const void *w, const void *b,
                                                    cairn_dtype dtype, float *y, float *mean,
                                                    float *inverse_deviation);

/// Input gradient of `cairn_layer_norm_forward`.
CAIRN_CHECKED cairn_status cairn_layer_norm_backward(cairn_context *context, size_t rows,
                                                     size_t width, const float *x, const void *w,
                                                     cairn_dtype dtype, const float *mean,
                                                     const float *inverse_deviation,
                                                     const float *dy, float *dx);

/// Weight and bias gradients of `cairn_layer_norm_forward`, in groups.
CAIRN_CHECKED cairn_status cairn_layer_norm_weight_gradient(
    cairn_context *context, const cairn_partition *partition, size_t width, const float *x,
    const float *mean, const float *inverse_deviation, const float *dy, cairn_gradient dw,
    cairn_gradient db);

#pragma clang assume_nonnull end

#endif
