// SPDX-License-Identifier: Apache-2.0
/// The optimizer kernels, written once; every build_*.c includes this file under its own target.

static double sum_of_squares(size_t count, const float *x) {
    typedef double v16d __attribute__((ext_vector_type(16)));
    v16d sum = (v16d)(0.0);
    for (size_t i = 0; i < count; i += LANES) {
        const v16d value = __builtin_convertvector(v16_load_some(x + i, count - i), v16d);
        sum += value * value;  // The product of two floats is exact in double.
    }
    double lanes[LANES];
    memcpy(lanes, &sum, sizeof lanes);
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

/// Adam and AdamW, which differ in where the weight decay goes.
CAIRN_INLINE void adam_update(const cairn_adam_scalars *c, size_t count, float *p, const float *g,
                              float *m, float *v, bool decoupled) {
    const v16 beta1 = v16_set(c->beta1), beta1_rest = v16_set(c->beta1_rest);
    const v16 beta2 = v16_set(c->beta2), beta2_rest = v16_set(c->beta2_rest);
    const v16 step = v16_set(c->step), root = v16_set(c->root), epsilon = v16_set(c->epsilon);
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const v16 parameter = v16_load_some(p + i, left);
        v16 gradient = v16_load_some(g + i, left) * v16_set(c->gradient_scale);
        if (!decoupled) gradient = v16_fma(v16_set(c->decay), parameter, gradient);
        const v16 first = v16_fma(beta1, v16_load_some(m + i, left), beta1_rest * gradient);
        const v16 second =
            v16_fma(beta2, v16_load_some(v + i, left), beta2_rest * gradient * gradient);
        const v16 update = step * first / v16_fma(v16_sqrt(second), root, epsilon);
        v16_store_some(m + i, first, left);
        v16_store_some(v + i, second, left);
        const v16 kept = decoupled ? v16_set(c->keep) : v16_set(1);
        v16_store_some(p + i, v16_fma(parameter, kept, -update), left);
    }
}

static void adam_step(const cairn_adam_scalars *c, size_t count, float *p, const float *g,
                      float *m, float *v) {
    adam_update(c, count, p, g, m, v, false);
}

static void adamw_step(const cairn_adam_scalars *c, size_t count, float *p, const float *g,
                       float *m, float *v) {
    adam_update(c, count, p, g, m, v, true);
}

/// u may be null: no momentum.
CAIRN_INLINE void sgd_update(const cairn_sgd_scalars *c, size_t count, float *p, const float *g,
                             float *u, bool nesterov) {
    const v16 momentum = v16_set(c->momentum);
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const v16 parameter = v16_load_some(p + i, left);
        const v16 gradient = v16_load_some(g + i, left) * v16_set(c->gradient_scale);
        v16 direction = v16_fma(v16_set(c->weight_decay), parameter, gradient);
        if (u) {
            const v16 velocity = v16_fma(momentum, v16_load_some(u + i, left), direction);
            v16_store_some(u + i, velocity, left);
            direction = nesterov ? v16_fma(momentum, velocity, direction) : velocity;
        }
        v16_store_some(p + i, v16_fma(v16_set(-c->learning_rate), direction, parameter), left);
    }
}

static void sgd_step(const cairn_sgd_scalars *c, size_t count, float *p, const float *g,
                     float *u) {
    sgd_update(c, count, p, g, u, false);
}

static void nesterov_step(const cairn_sgd_scalars *c, size_t count, float *p, const float *g,
                          float *u) {
    sgd_update(c, count, p, g, u, true);
}

static void lion_step(const cairn_lion_scalars *c, size_t count, float *p, const float *g,
                      float *m) {
    const v16 beta1 = v16_set(c->beta1), beta1_rest = v16_set(c->beta1_rest);
    const v16 beta2 = v16_set(c->beta2), beta2_rest = v16_set(c->beta2_rest);
    const v16 rate = v16_set(c->learning_rate), keep = v16_set(c->keep);
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const v16 gradient = v16_load_some(g + i, left) * v16_set(c->gradient_scale);
        const v16 first = v16_load_some(m + i, left);
        const v16 blend = v16_fma(beta1, first, beta1_rest * gradient);
        // A zero moves nothing, and NaN is its own sign, so that it shows in p.
        const v16 negative = v16_select(blend < v16_zero(), v16_set(-1), blend);
        const v16 sign = v16_select(blend > v16_zero(), v16_set(1), negative);
        v16_store_some(p + i, v16_fma(v16_load_some(p + i, left), keep, -(rate * sign)), left);
        v16_store_some(m + i, v16_fma(beta2, first, beta2_rest * gradient), left);
    }
}

static const cairn_optimizer_kernels optimizer_kernels = {
    .sum_of_squares = sum_of_squares,
    .adam_step = adam_step,
    .adamw_step = adamw_step,
    .sgd_step = sgd_step,
    .nesterov_step = nesterov_step,
    .lion_step = lion_step,
};
