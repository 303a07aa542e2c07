// SPDX-License-Identifier: Apache-2.0
/// Signatures of the elementwise kernels that each instruction set is built with.

#ifndef CAIRN_ELEMENTWISE_KERNELS_H
#define CAIRN_ELEMENTWISE_KERNELS_H

#include "cairn_elementwise.h"

/// Arguments are those of the public functions, cut to the range of one tile.
typedef struct cairn_elementwise_kernels {
    void (*activation_forward)(cairn_activation function, size_t count, const float *x, float *y);
    void (*activation_slope)(cairn_activation function, size_t count, const float *x, float *y,
                             float *slope);
    void (*activation_backward)(cairn_activation function, size_t count, const float *x,
                                const float *dy, float *dx);
    void (*gated_forward)(cairn_activation function, size_t count, const float *gate,
                          const float *up, float *y);
    void (*gated_backward)(cairn_activation function, size_t count, const float *gate,
                           const float *up, const float *dy, float *d_gate, float *d_up);
    void (*add)(size_t count, const float *a, float scale, const float *b, float *y);
    void (*multiply)(size_t count, const float *a, const float *b, float *y);
    void (*scale)(size_t count, float scale, const float *x, float *y);
    /// z times the factor of its column, plus bias unless that is null.
    void (*scale_columns)(size_t rows, size_t width, const float *z, const float *numerator,
                          const float *denominator, const float *bias, float *y);
    /// Columns `begin` to `end` (at most CAIRN_GRADIENT_COLUMNS) of the two gradients in groups.
    void (*scale_columns_gradient)(const cairn_partition *partition, size_t width, size_t begin,
                                   size_t end, const float *dy, const float *z,
                                   const float *denominator, cairn_gradient gradient);
    void (*bias_gradient)(const cairn_partition *partition, size_t width, size_t begin, size_t end,
                          const float *dy, cairn_gradient gradient);
    /// Rows `begin` to `end` of the norm.
    void (*dora_norm)(size_t begin, size_t end, size_t in, size_t rank, float scale, const void *w,
                      cairn_dtype dtype, const float *a, const float *b, float *norm);
    /// `count` elements from element `index` of the source on.
    void (*widen)(size_t index, size_t count, const void *source, cairn_dtype dtype,
                  float *destination);
} cairn_elementwise_kernels;

#endif
