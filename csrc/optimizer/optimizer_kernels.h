// SPDX-License-Identifier: Apache-2.0
/// Signatures of the optimizer kernels that each instruction set is built with.

#ifndef CAIRN_OPTIMIZER_KERNELS_H
#define CAIRN_OPTIMIZER_KERNELS_H

#include "cairn_optimizer.h"

/// The scalars of an AdamW step, folded in double and rounded once.
typedef struct cairn_adamw_scalars {
    float gradient_scale;
    float beta1, beta1_rest;  ///< beta1 and 1 - beta1.
    float beta2, beta2_rest;
    float step;       ///< lr / (1 - beta1^t)
    float root;       ///< 1 / sqrt(1 - beta2^t)
    float epsilon;
    float keep;       ///< 1 - lr wd
} cairn_adamw_scalars;

/// The scalars of a step of stochastic gradient descent.
typedef struct cairn_sgd_scalars {
    float gradient_scale, weight_decay, momentum, learning_rate;
} cairn_sgd_scalars;

typedef struct cairn_optimizer_kernels {
    double (*sum_of_squares)(size_t count, const float *x);
    void (*adamw_step)(const cairn_adamw_scalars *scalars, size_t count, float *p, const float *g,
                       float *m, float *v);
    /// u may be null: no momentum.
    void (*sgd_step)(const cairn_sgd_scalars *scalars, size_t count, float *p, const float *g,
                     float *u);
} cairn_optimizer_kernels;

#endif
