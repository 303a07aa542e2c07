// SPDX-License-Identifier: Apache-2.0
/// Signatures of the optimizer kernels that each instruction set is built with.

#ifndef CAIRN_OPTIMIZER_KERNELS_H
#define CAIRN_OPTIMIZER_KERNELS_H

#include "cairn_optimizer.h"

/// The scalars of an Adam or AdamW step, folded in double and rounded once.
typedef struct cairn_adam_scalars {
    float gradient_scale;
    float beta1, beta1_rest;  ///< beta1 and 1 - beta1.
    float beta2, beta2_rest;
    float step;       ///< lr / (1 - beta1^t)
    float root;       ///< 1 / sqrt(1 - beta2^t)
    float epsilon;
    float keep;       ///< AdamW: 1 - lr wd
    float decay;      ///< Adam: wd
} cairn_adam_scalars;

/// The scalars of a step of stochastic gradient descent.
typedef struct cairn_sgd_scalars {
    float gradient_scale, weight_decay, momentum, learning_rate;
} cairn_sgd_scalars;

/// The scalars of a Lion step, folded in double and rounded once.
typedef struct cairn_lion_scalars {
    float gradient_scale;
    float beta1, beta1_rest;  ///< beta1 and 1 - beta1.
    float beta2, beta2_rest;
    float learning_rate;
    float keep;  ///< 1 - lr wd
} cairn_lion_scalars;

typedef void cairn_adam_kernel(const cairn_adam_scalars *scalars, size_t count, float *p,
                               const float *g, float *m, float *v);
typedef void cairn_sgd_kernel(const cairn_sgd_scalars *scalars, size_t count, float *p,
                              const float *g, float *u);

typedef struct cairn_optimizer_kernels {
    double (*sum_of_squares)(size_t count, const float *x);
    cairn_adam_kernel *adam_step, *adamw_step;
    cairn_sgd_kernel *sgd_step;  ///< u may be null: no momentum.
    cairn_sgd_kernel *nesterov_step;
    void (*lion_step)(const cairn_lion_scalars *scalars, size_t count, float *p, const float *g,
                      float *m);
} cairn_optimizer_kernels;

#endif
