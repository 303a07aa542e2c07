// SPDX-License-Identifier: Apache-2.0
/// Signatures of the normalization kernels that each instruction set is built with.

#ifndef CAIRN_NORMALIZATION_KERNELS_H
#define CAIRN_NORMALIZATION_KERNELS_H

#include "cairn_normalization.h"

/// Arguments are those of the public functions, cut to the rows or columns of one tile.
typedef struct cairn_normalization_kernels {
    void (*rms_norm_forward)(size_t rows, size_t width, float epsilon, const float *x,
                             const void *w, cairn_dtype dtype, float *y, float *inverse_rms);
    void (*rms_norm_backward)(size_t rows, size_t width, const float *x, const void *w,
                              cairn_dtype dtype, const float *inverse_rms, const float *dy,
                              float *dx);
    void (*rms_norm_weight_gradient)(const cairn_partition *partition, size_t repeats,
                                     size_t width, size_t begin, size_t end, const float *x,
                                     const float *inverse_rms, const float *dy,
                                     cairn_gradient dw);
    void (*layer_norm_forward)(size_t rows, size_t width, float epsilon, const float *x,
                               const void *w, const void *b, cairn_dtype dtype, float *y,
                               float *mean, float *inverse_deviation);
    void (*layer_norm_backward)(size_t rows, size_t width, const float *x, const void *w,
                                cairn_dtype dtype, const float *mean,
                                const float *inverse_deviation, const float *dy, float *dx);
    void (*layer_norm_weight_gradient)(const cairn_partition *partition, size_t width,
                                       size_t begin, size_t end, const float *x, const float *mean,
                                       const float *inverse_deviation, const float *dy,
                                       cairn_gradient dw, cairn_gradient db);
} cairn_normalization_kernels;

#endif
