// SPDX-License-Identifier: Apache-2.0
/// Signatures of the loss kernels that each instruction set is built with.

#ifndef CAIRN_LOSS_KERNELS_H
#define CAIRN_LOSS_KERNELS_H

#include "cairn_loss.h"

/// Arguments are those of the public functions, cut to the rows of one tile.
typedef struct cairn_loss_kernels {
    void (*softmax)(size_t rows, size_t classes, const float *x, float *p);
    /// `weight_sum` is the sum of the class weights.
    void (*cross_entropy)(const cairn_cross_entropy_config *config, float weight_sum, size_t rows,
                          size_t classes, const float *logits, const int32_t *targets,
                          float *losses, float *d_logits);
    void (*binary_cross_entropy)(size_t rows, size_t columns, float scale, const float *logits,
                                 const float *targets, float *losses, float *d_logits);
    void (*squared_error)(size_t rows, size_t columns, float scale, const float *x,
                          const float *targets, float *losses, float *dx);
} cairn_loss_kernels;

#endif
