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

static void adamw_step(const cairn_adamw_scalars *c, size_t count, float *p, const float *g,
                       float *m, float *v) {
    const v16 beta1 = v16_set(c->beta1), beta1_rest = v16_set(c->beta1_rest);
    const v16 beta2 = v16_set(c->beta2), beta2_rest = v16_set(c->beta2_rest);
    const v16 step = v16_set(c->step), root = v16_set(c->root), epsilon = v16_set(c->epsilon);
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const v16 gradient = v16_load_some(g + i, left) * v16_set(c->gradient_scale);
        const v16 first = v16_fma(beta1, v16_load_some(m + i, left), beta1_rest * gradient);
        const v16 second =
            v16_fma(beta2, v16_load_some(v + i, left), beta2_rest * gradient * gradient);
        const v16 update = step * first / v16_fma(v16_sqrt(second), root, epsilon);
        v16_store_some(m + i, first, left);
        v16_store_some(v + i, second, left);
        v16_store_some(p + i, v16_fma(v16_load_some(p + i, left), v16_set(c->keep), -update),
                       left);
    }
}

static void sgd_step(const cairn_sgd_scalars *c, size_t count, float *p, const float *g,
                     float *u) {
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const v16 parameter = v16_load_some(p + i, left);
        const v16 gradient = v16_load_some(g + i, left) * v16_set(c->gradient_scale);
        v16 direction = v16_fma(v16_set(c->weight_decay), parameter, gradient);
        if (u) {
            direction = v16_fma(v16_set(c->momentum), v16_load_some(u + i, left), direction);
            v16_store_some(u + i, direction, left);
        }
        v16_store_some(p + i, v16_fma(v16_set(-c->learning_rate), direction, parameter), left);
    }
}

static const cairn_optimizer_kernels optimizer_kernels = {
    .sum_of_squares = sum_of_squares,
    .adamw_step = adamw_step,
    .sgd_step = sgd_step,
};
