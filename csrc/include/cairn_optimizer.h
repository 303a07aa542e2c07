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

/// Hyper-parameters of an Adam or AdamW step. Double, because 1 - 0.999f is already off by 1e-5.
typedef struct cairn_adam_config {
    double learning_rate;   ///< lr: finite, >= 0.
    double beta1;           ///< Decay of the first moment, in [0, 1).
    double beta2;           ///< Decay of the second moment, in [0, 1).
    double epsilon;         ///< Added to sqrt(v_hat), outside the root; > 0.
    double weight_decay;    ///< wd: coupled in Adam, decoupled in AdamW; >= 0.
    double gradient_scale;  ///< Factor on g before use: the clip coefficient, or 1.
} cairn_adam_config;

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
                                            const cairn_adam_config *config, uint64_t t,
                                            size_t count, float *p, const float *g, float *m,
                                            float *v);

/// Takes one Adam step, in place: weight decay is part of the gradient (an L2 penalty).
///
///     d = g + wd*p
///     m <- beta1*m + (1-beta1)*d               m_hat = m / (1 - beta1^t)
///     v <- beta2*v + (1-beta2)*d*d             v_hat = v / (1 - beta2^t)
///     p <- p - lr * m_hat / (sqrt(v_hat) + epsilon)
///
/// - Shapes, Step, Numerics and Fails as for `cairn_adamw_step`.
/// - Source:   Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 1, with decay as in torch.optim.Adam.
CAIRN_CHECKED cairn_status cairn_adam_step(cairn_context *context, const cairn_adam_config *config,
                                           uint64_t t, size_t count, float *p, const float *g,
                                           float *m, float *v);

/// Hyper-parameters of a step of stochastic gradient descent.
typedef struct cairn_sgd_config {
    double learning_rate;   ///< lr: finite, >= 0.
    double momentum;        ///< In [0, 1); with 0 the velocity is not touched and may be null.
    double weight_decay;    ///< wd: added to the gradient as wd*p; >= 0.
    double gradient_scale;  ///< Factor on g before use: the clip coefficient, or 1.
    bool nesterov;          ///< Looks one step ahead; needs momentum > 0.
} cairn_sgd_config;

/// Takes one step of gradient descent, in place.
///
///     d = g + wd*p
///     u <- momentum*u + d
///     p <- p - lr*u,   or with nesterov   p <- p - lr*(d + momentum*u)
///
/// - Shapes:   p, g, u are [count] fp32, contiguous, any alignment; no overlap.
/// - Step:     u starts at zero, so the first step has u = d: torch's first step without dampening.
/// - Numerics: scalars are folded in double and rounded once; the same bits on every ISA.
/// - Fails:    CAIRN_STATUS_INVALID_ARGUMENT if the config is out of range, or momentum has no u.
/// - Source:   torch.optim.SGD with dampening 0; Sutskever et al. 2013 for nesterov.
CAIRN_CHECKED cairn_status cairn_sgd_step(cairn_context *context, const cairn_sgd_config *config,
                                          size_t count, float *p, const float *g,
                                          float *_Nullable u);

/// Hyper-parameters of a Lion step.
typedef struct cairn_lion_config {
    double learning_rate;   ///< lr: finite, >= 0.
    double beta1;           ///< Share of m in the direction, in [0, 1).
    double beta2;           ///< Decay of m, in [0, 1).
    double weight_decay;    ///< wd: decoupled, >= 0.
    double gradient_scale;  ///< Factor on g before use: the clip coefficient, or 1.
} cairn_lion_config;

/// Takes one Lion step, in place.
///
///     c = beta1*m + (1-beta1)*g
///     p <- p*(1 - lr*wd) - lr*sign(c)          sign(0) = 0
///     m <- beta2*m + (1-beta2)*g
///
/// - Shapes:   p, g, m are [count] fp32, contiguous, any alignment; no overlap.
/// - Numerics: scalars are folded in double and rounded once; the same bits on every ISA. A c that
///             is NaN makes p NaN.
/// - Fails:    CAIRN_STATUS_INVALID_ARGUMENT if the config is out of range.
/// - Source:   Chen et al. 2023 (arXiv:2302.06675), Algorithm 2, with decay scaled by lr.
CAIRN_CHECKED cairn_status cairn_lion_step(cairn_context *context, const cairn_lion_config *config,
                                           size_t count, float *p, const float *g, float *m);

#pragma clang assume_nonnull end

#endif
