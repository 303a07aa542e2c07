// SPDX-License-Identifier: Apache-2.0
/// Optimizer steps, sums of squares, Philox and dropout against their definitions.

#include "ops_check.h"

typedef struct operands {
    cairn_adam_config adam;
    cairn_sgd_config sgd;
    cairn_lion_config lion;
    cairn_dropout_config dropout;
    uint64_t t;
    size_t count, width;
    const float *p, *g, *m, *v;
    const uint32_t *row_ids, *positions;
} operands;

/// p, m and v after the step.
static cairn_status adamw(cairn_context *context, const void *in, float *out) {
    const operands *o = in;
    const size_t n = o->count, bytes = n * sizeof(float);
    memcpy(out, o->p, bytes), memcpy(out + n, o->m, bytes), memcpy(out + 2 * n, o->v, bytes);
    return cairn_adamw_step(context, &o->adam, o->t, n, out, o->g, out + n, out + 2 * n);
}

static cairn_status adam(cairn_context *context, const void *in, float *out) {
    const operands *o = in;
    const size_t n = o->count, bytes = n * sizeof(float);
    memcpy(out, o->p, bytes), memcpy(out + n, o->m, bytes), memcpy(out + 2 * n, o->v, bytes);
    return cairn_adam_step(context, &o->adam, o->t, n, out, o->g, out + n, out + 2 * n);
}

/// p and m after the step.
static cairn_status lion(cairn_context *context, const void *in, float *out) {
    const operands *o = in;
    const size_t n = o->count, bytes = n * sizeof(float);
    memcpy(out, o->p, bytes), memcpy(out + n, o->m, bytes);
    return cairn_lion_step(context, &o->lion, n, out, o->g, out + n);
}

static cairn_status sgd(cairn_context *context, const void *in, float *out) {
    const operands *o = in;
    const size_t n = o->count, bytes = n * sizeof(float);
    memcpy(out, o->p, bytes), memcpy(out + n, o->m, bytes);
    return cairn_sgd_step(context, &o->sgd, n, out, o->g, o->sgd.momentum > 0 ? out + n : NULL);
}

static void check_adam(size_t count, uint64_t t, bool decoupled) {
    float *p = random_floats(count), *g = random_floats(count), *m = random_floats(count);
    float *v = random_floats(count);
    for (size_t i = 0; i < count; i++) v[i] = fabsf(v[i]) + 0.01f;
    // A large epsilon shows on which side of the root it stands.
    const cairn_adam_config c = {1e-2, 0.9, 0.999, t % 2 ? 1e-8 : 0.1, 0.1, 0.7};
    const operands o = {.adam = c, .t = t, .count = count, .p = p, .g = g, .m = m, .v = v};
    float *found = run_everywhere(decoupled ? "AdamW" : "Adam", decoupled ? adamw : adam, &o,
                                  3 * count);
    for (size_t i = 0; i < count; i++) {
        const double penalty = decoupled ? 0 : c.weight_decay * (double)p[i];
        const double gradient = 0.7 * (double)g[i] + penalty;
        const double first = c.beta1 * (double)m[i] + (1 - c.beta1) * gradient;
        const double second = c.beta2 * (double)v[i] + (1 - c.beta2) * gradient * gradient;
        const double m_hat = first / (1 - pow(c.beta1, (double)t));
        const double root = sqrt(second / (1 - pow(c.beta2, (double)t)));
        const double update = c.learning_rate * m_hat / (root + c.epsilon);
        const double kept = decoupled ? 1 - c.learning_rate * c.weight_decay : 1;
        const double next = (double)p[i] * kept - update;
        // The moments' scalars and sums: 4 roundings of terms below 1. An update has 8 more, and
        // the moments' error of 4 roundings over a root of at least 0.1.
        const double u = 0x1p-24, size = c.learning_rate / (1 - pow(c.beta1, (double)t)) / root;
        check(near_enough((double)found[i], next, u * (3 + 16 * fabs(update) + 8 * size)),
              "p[%zu] is %.9g, not %.9g", i, (double)found[i], next);
        check(near_enough((double)found[count + i], first, 4 * u), "m[%zu]", i);
        check(near_enough((double)found[2 * count + i], second, 4 * u), "v[%zu]", i);
    }
    free(p), free(g), free(m), free(v), free(found);
}

static void check_sgd(size_t count, double momentum, bool nesterov) {
    float *p = random_floats(count), *g = random_floats(count), *u = random_floats(count);
    const cairn_sgd_config c = {0.1, momentum, 0.01, 0.5, nesterov};
    const operands o = {.sgd = c, .count = count, .p = p, .g = g, .m = u};
    float *found = run_everywhere("SGD", sgd, &o, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const double gradient = 0.5 * (double)g[i] + 0.01 * (double)p[i];
        const double velocity = momentum * (double)u[i] + gradient;
        const double step = nesterov ? gradient + momentum * velocity : velocity;
        check(near_enough((double)found[i], (double)p[i] - 0.1 * step, 4 * 0x1p-24), "SGD p");
        check(near_enough((double)found[count + i], momentum > 0 ? velocity : (double)u[i],
                          6 * 0x1p-24), "SGD u");
    }
    free(p), free(g), free(u), free(found);
}

/// Multiples of 1/256 in small numbers: c is exact in double, so its sign is not in doubt.
static float *coarse_floats(size_t count) {
    float *x = random_floats(count);
    for (size_t i = 0; i < count; i++) x[i] = rintf(x[i] * 256) / 256;
    return x;
}

static void check_lion(size_t count) {
    float *p = random_floats(count), *g = coarse_floats(count), *m = coarse_floats(count);
    for (size_t i = 0; i < count; i += 5) m[i] = -g[i];  // c is exactly 0 with beta1 = 0.5.
    const cairn_lion_config c = {0.03, 0.5, 0.99, 0.1, 1};
    const operands o = {.lion = c, .count = count, .p = p, .g = g, .m = m};
    float *found = run_everywhere("Lion", lion, &o, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const double blend = c.beta1 * (double)m[i] + (1 - c.beta1) * (double)g[i];
        const double sign = blend > 0 ? 1 : blend < 0 ? -1 : 0;
        const double next = (double)p[i] * (1 - 0.03 * 0.1) - 0.03 * sign;
        const double momentum = c.beta2 * (double)m[i] + (1 - c.beta2) * (double)g[i];
        check(near_enough((double)found[i], next, 3 * 0x1p-24), "Lion p[%zu] is %.9g, not %.9g", i,
              (double)found[i], next);
        check(near_enough((double)found[count + i], momentum, 4 * 0x1p-24), "Lion m[%zu]", i);
    }
    free(p), free(g), free(m), free(found);
}

/// Adjacent bits of the double, as two floats.
static cairn_status sum(cairn_context *context, const void *in, float *out) {
    const operands *o = in;
    double value;
    const cairn_status status = cairn_sum_of_squares(context, o->count, o->g, &value);
    const double rounded[2] = {value, 0};
    memcpy(out, rounded, sizeof(float) * 2);
    return status;
}

static void check_sum(size_t count) {
    float *x = random_floats(count);
    double expected = 0, found;
    for (size_t i = 0; i < count; i++) expected += (double)x[i] * (double)x[i];
    const operands o = {.count = count, .g = x};
    float *bits = run_everywhere("sum of squares", sum, &o, 2);
    memcpy(&found, bits, sizeof found);
    check(near_enough(found, expected, 1e-12 * expected), "sum of %zu squares is %g, not %g", count,
          found, expected);
    free(x), free(bits);
}

/// A NaN in the gradient reaches parameter and slots, and only its own.
static void check_nan(void) {
    float g[33] = {0}, zero[33] = {0};
    g[20] = NAN;
    const operands o = {.adam = {1e-3, 0.9, 0.999, 1e-8, 0, 1}, .sgd = {1e-3, 0.9, 0, 1, true},
                        .lion = {1e-3, 0.9, 0.99, 0, 1}, .t = 1, .count = 33, .p = zero, .g = g,
                        .m = zero, .v = zero};
    const struct {
        const char *name;
        cairn_status (*step)(cairn_context *context, const void *in, float *out);
        size_t arrays;
    } rules[] = {{"Adam", adam, 3}, {"AdamW", adamw, 3}, {"SGD", sgd, 2}, {"Lion", lion, 2}};
    for (size_t rule = 0; rule < 4; rule++) {
        float *found = run_everywhere(rules[rule].name, rules[rule].step, &o,
                                      33 * rules[rule].arrays);
        for (size_t i = 0; i < 33 * rules[rule].arrays; i++)
            check((found[i] != found[i]) == (i % 33 == 20), "%s beside a NaN: %zu",
                  rules[rule].name, i);
        free(found);
    }
}

static void check_refusals(void) {
    const cairn_adam_config good = {1e-3, 0.9, 0.999, 1e-8, 0, 1};
    float p = 1, g = 1, m = 0, v = 0;
    cairn_context *c = ops_contexts[0];
    check(cairn_adamw_step(c, &good, 0, 1, &p, &g, &m, &v) == CAIRN_STATUS_INVALID_ARGUMENT, "t 0");
    for (int field = 0; field < 6; field++)
        for (int i = 0; i < 2; i++) {
            cairn_adam_config bad = good;
            double *const fields[] = {&bad.learning_rate, &bad.beta1,        &bad.beta2,
                                      &bad.epsilon,       &bad.weight_decay, &bad.gradient_scale};
            *fields[field] = i == 0 ? (double)NAN : field == 5 ? (double)INFINITY : -1;
            check(cairn_adamw_step(c, &bad, 1, 1, &p, &g, &m, &v) == CAIRN_STATUS_INVALID_ARGUMENT
                      && cairn_adam_step(c, &bad, 1, 1, &p, &g, &m, &v)
                             == CAIRN_STATUS_INVALID_ARGUMENT
                      && p == 1 && m == 0, "Adam took %g in field %d", *fields[field], field);
        }
    for (int field = 0; field < 5; field++)
        for (int i = 0; i < 2; i++) {
            cairn_lion_config bad = {1e-3, 0.9, 0.99, 0, 1};
            double *const fields[] = {&bad.learning_rate, &bad.beta1, &bad.beta2,
                                      &bad.weight_decay, &bad.gradient_scale};
            *fields[field] = i == 0 ? (double)NAN : field == 4 ? (double)INFINITY : -1;
            check(cairn_lion_step(c, &bad, 1, &p, &g, &m) == CAIRN_STATUS_INVALID_ARGUMENT
                      && p == 1 && m == 0, "Lion took %g in field %d", *fields[field], field);
        }
    const cairn_sgd_config velocity = {1e-3, 0.9, 0, 1, false}, still = {1e-3, 0, 0, 1, true};
    check(cairn_sgd_step(c, &velocity, 1, &p, &g, NULL) == CAIRN_STATUS_INVALID_ARGUMENT,
          "momentum without a velocity was accepted");
    check(cairn_sgd_step(c, &still, 1, &p, &g, &m) == CAIRN_STATUS_INVALID_ARGUMENT,
          "nesterov without momentum was accepted");
    const float bad[] = {NAN, 1, -0.1f};
    for (size_t i = 0; i < 3; i++) {
        const cairn_dropout_config dropout = {.probability = bad[i]};
        const uint32_t zero = 0;
        check(cairn_dropout(c, &dropout, 1, 1, &zero, &zero, &p, &m)
                  == CAIRN_STATUS_INVALID_ARGUMENT, "dropout took %g", (double)bad[i]);
    }
}

/// The known answers of Random123 (kat_vectors, philox4x32-10).
static void check_philox(void) {
    const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < 3; i++) {
        uint32_t block[4];
        memcpy(block, cases[i].counter, sizeof block);
        cairn_philox(block, cases[i].key);
        check(memcmp(block, cases[i].expected, sizeof block) == 0, "Philox block %zu", i);
    }
}

static cairn_status drop(cairn_context *context, const void *in, float *out) {
    const operands *o = in;
    return cairn_dropout(context, &o->dropout, o->count, o->width, o->row_ids, o->positions, o->p,
                         out);
}

static void check_dropout(size_t rows, size_t width, float probability) {
    float *x = random_floats(rows * width);
    uint32_t *row_ids = exact(rows * sizeof(uint32_t));
    uint32_t *positions = exact(rows * sizeof(uint32_t));
    for (size_t t = 0; t < rows; t++) row_ids[t] = (uint32_t)t / 7, positions[t] = (uint32_t)t % 7;
    const operands o = {.dropout = {probability, 0x1234567890abcdef, 77}, .count = rows,
                        .width = width, .p = x, .row_ids = row_ids, .positions = positions};
    float *y = run_everywhere("dropout", drop, &o, rows * width);
    const float factor = (float)(1 / (1 - (double)probability));
    size_t kept = 0;
    for (size_t i = 0; i < rows * width; i++) {
        const size_t t = i / width, j = i % width;
        uint32_t block[4] = {(uint32_t)(j / 4), positions[t], row_ids[t], 77};
        const uint32_t key[2] = {0x90abcdef, 0x12345678};
        cairn_philox(block, key);
        const bool keep = (float)(block[j % 4] >> 8) * 0x1p-24f >= probability;
        kept += keep;
        check(y[i] == x[i] * (keep ? factor : 0), "dropout element %zu", i);
    }
    const double n = (double)(rows * width), p = (double)probability;
    // Six standard deviations of a binomial count.
    check(near_enough((double)kept, n * (1 - p), 6 * sqrt(n * p * (1 - p)) + 1e-9), "%zu of %g kept",
          kept, n);
    free(x), free(row_ids), free(positions), free(y);
}

int main(void) {
    make_all_contexts();
    const uint64_t steps[] = {1, 2, 10, 1000, 123456789};
    for (size_t n = 0; n < OPS_LENGTHS; n++) {
        for (size_t i = 0; i < 5; i++) {
            check_adam(ops_lengths[n], steps[i], true);
            check_adam(ops_lengths[n], steps[i], false);
        }
        check_sgd(ops_lengths[n], 0, false);
        check_sgd(ops_lengths[n], 0.9, false);
        check_sgd(ops_lengths[n], 0.9, true);
        check_lion(ops_lengths[n]);
        check_sum(ops_lengths[n]);
        check_dropout(9, ops_lengths[n], n % 2 ? 0.1f : 0.5f);
    }
    check_adam(50000, 3, true);
    check_adam(50000, 3, false);
    check_sgd(50000, 0.9, true);
    check_lion(50000);
    check_sum(100001);
    check_dropout(300, 100, 0);
    check_dropout(300, 100, 0.25f);
    check_nan();
    check_refusals();
    check_philox();
    destroy_all_contexts();
    return summary();
}
