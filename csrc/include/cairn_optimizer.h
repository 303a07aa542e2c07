// SPDX-License-Identifier: Apache-2.0
/// Gradient norm and parameter updates.

#ifndef CAIRN_OPTIMIZER_H
#define CAIRN_OPTIMIZER_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// The sum of squares of `count` numbers, in double: 4096 elements at a time over 16 lanes and a
/// fixed tree, tiles in order.
CAIRN_CHECKED cairn_status cairn_sum_of_squares(cairn_context *context, size_t count,
                                                const float *x, double *sum);

/// Hyper-parameters of an AdamW step. Double, because 1 - 0.999f is already off by 1e-5.
typedef struct cairn_adamw_config {
    double learning_rate;   ///< lr: finite, >= 0.
    double beta1;           ///< Decay of the first moment, in [0, 1).
    double beta2;           ///< Decay of the second moment, in [0, 1).
    double epsilon;         ///< Added to sqrt(v_hat), outside the root; > 0.
    double weight_decay;    ///< wd: decoupled, >= 0.
    double gradient_scale;  ///< Factor on g before use: the clip coefficient, or 1.
} cairn_adamw_config;

/// Takes one AdamW step, in place.
///
///     m <- beta1*m + (1-beta1)*g               m_hat = m / (1 - beta1^t)
///     v <- beta2*v + (1-beta2)*g*g             v_hat = v / (1 - beta2^t)
///     p <- p*(1 - lr*wd) - lr * m_hat / (sqrt(v_hat) + epsilon)
///
/// - Shapes:   p, g, m, v are [count] fp32, contiguous, any alignment; no overlap.
/// - Step:     t counts from 1.
/// - Numerics: scalars are folded in double and rounded once; the same bits on every ISA. beta^t
///             by repeated multiplication (exponentiation by squaring).
/// - Fails:    CAIRN_STATUS_INVALID_ARGUMENT if t == 0 or the config is out of range.
/// - Source:   Loshchilov & Hutter 2019 (arXiv:1711.05101), Algorithm 2, with decay scaled by lr
///             as in torch.optim.AdamW.
CAIRN_CHECKED cairn_status cairn_adamw_step(cairn_context *context,
                                            const cairn_adamw_config *config, uint64_t t,
                                            size_t count, float *p, const float *g, float *m,
                                            float *v);

/// Hyper-parameters of a step of stochastic gradient descent.
typedef struct cairn_sgd_config {
    double learning_rate;
    double momentum;  ///< In [0, 1); with 0 the velocity is not touched and may be null.
    double weight_decay;
    double gradient_scale;
} cairn_sgd_config;

/// u <- momentum*u + g + wd*p, p <- p - lr*u, as torch.optim.SGD without dampening.
CAIRN_CHECKED cairn_status cairn_sgd_step(cairn_context *context, const cairn_sgd_config *config,
                                          size_t count, float *p, const float *g,
                                          float *_Nullable u);

#pragma clang assume_nonnull end

#endif
