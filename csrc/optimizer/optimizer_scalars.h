// SPDX-License-Identifier: Apache-2.0
/// What every engine does with the settings of a step: checks them and folds them in double.
///
/// Plain declarations that C and C++ read alike, so that the CUDA engine takes the same scalars.

#ifndef CAIRN_OPTIMIZER_SCALARS_H
#define CAIRN_OPTIMIZER_SCALARS_H

#include "optimizer_kernels.h"

/// x^n by squaring.
static inline double cairn_integer_power(double x, uint64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2 == 1) result *= x;
    return result;
}

static inline bool cairn_is_finite(double x) { return x - x == 0; }

static inline bool cairn_is_decay(double x) { return x >= 0 && x < 1; }

static inline bool cairn_is_rate(double x) { return x >= 0 && cairn_is_finite(x); }

static inline bool cairn_is_adam_config(const cairn_adam_config *c, uint64_t t) {
    return t > 0 && cairn_is_rate(c->learning_rate) && cairn_is_decay(c->beta1)
           && cairn_is_decay(c->beta2) && c->epsilon > 0 && cairn_is_finite(c->epsilon)
           && cairn_is_rate(c->weight_decay) && cairn_is_finite(c->gradient_scale);
}

static inline cairn_adam_scalars cairn_adam_scalars_of(const cairn_adam_config *config,
                                                       uint64_t t) {
    const double rest1 = 1 - cairn_integer_power(config->beta1, t);
    const double rest2 = 1 - cairn_integer_power(config->beta2, t);
    cairn_adam_scalars s;
    s.gradient_scale = (float)config->gradient_scale;
    s.beta1 = (float)config->beta1;
    s.beta1_rest = (float)(1 - config->beta1);
    s.beta2 = (float)config->beta2;
    s.beta2_rest = (float)(1 - config->beta2);
    s.step = (float)(config->learning_rate / rest1);
    s.root = (float)(1 / __builtin_sqrt(rest2));
    s.epsilon = (float)config->epsilon;
    s.keep = (float)(1 - config->learning_rate * config->weight_decay);
    s.decay = (float)config->weight_decay;
    return s;
}

/// `has_velocity`: whether the caller passes memory for it.
static inline bool cairn_is_sgd_config(const cairn_sgd_config *c, bool has_velocity) {
    return cairn_is_rate(c->learning_rate) && cairn_is_decay(c->momentum)
           && cairn_is_rate(c->weight_decay) && cairn_is_finite(c->gradient_scale)
           && (has_velocity || !(c->momentum > 0)) && (!c->nesterov || c->momentum > 0);
}

static inline cairn_sgd_scalars cairn_sgd_scalars_of(const cairn_sgd_config *config) {
    cairn_sgd_scalars s;
    s.gradient_scale = (float)config->gradient_scale;
    s.weight_decay = (float)config->weight_decay;
    s.momentum = (float)config->momentum;
    s.learning_rate = (float)config->learning_rate;
    return s;
}

static inline bool cairn_is_lion_config(const cairn_lion_config *c) {
    return cairn_is_rate(c->learning_rate) && cairn_is_decay(c->beta1) && cairn_is_decay(c->beta2)
           && cairn_is_rate(c->weight_decay) && cairn_is_finite(c->gradient_scale);
}

static inline cairn_lion_scalars cairn_lion_scalars_of(const cairn_lion_config *config) {
    cairn_lion_scalars s;
    s.gradient_scale = (float)config->gradient_scale;
    s.beta1 = (float)config->beta1;
    s.beta1_rest = (float)(1 - config->beta1);
    s.beta2 = (float)config->beta2;
    s.beta2_rest = (float)(1 - config->beta2);
    s.learning_rate = (float)config->learning_rate;
    s.keep = (float)(1 - config->learning_rate * config->weight_decay);
    return s;
}

#endif
