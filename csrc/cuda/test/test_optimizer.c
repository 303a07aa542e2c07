// SPDX-License-Identifier: Apache-2.0
/// The sum of squares and every update rule.

#include "both.h"

static void test_squares(size_t count) {
    triple x = triple_floats(count, 1, 181);
    double sums[ENGINES];
    EACH(sum_of_squares, count, F(x), &sums[e]);
    const double error = sums[1] - sums[0];
    expect(error <= 1e-12 * sums[0] && -error <= 1e-12 * sums[0], "sum of squares of %zu: %.17g %.17g",
           count, sums[1], sums[0]);
    expect(sums[1] == sums[2], "sum of squares of %zu: two runs differ", count);
    triple_free(&x);
}

static void test_rules(size_t count) {
    triple p = triple_floats(count, 1, 191), g = triple_floats(count, 1, 192);
    triple m = triple_zeros(count), v = triple_zeros(count);
    const cairn_adam_config adam = {1e-2, 0.9, 0.95, 1e-8, 0.1, 0.5};
    for (uint64_t t = 1; t <= 3; t++) {
        EACH(adamw_step, &adam, t, count, F(p), F(g), F(m), F(v));
        expect_near(p, count, 1e-6, 1e-3, "AdamW of %zu, step %d", count, (int)t);
        EACH(adam_step, &adam, t, count, F(p), F(g), F(m), F(v));
        expect_near(p, count, 1e-6, 1e-3, "Adam of %zu, step %d", count, (int)t);
    }
    expect_near(m, count, 1e-6, 1e-3, "first moment");
    expect_near(v, count, 1e-6, 1e-3, "second moment");
    for (int kind = 0; kind < 3; kind++) {
        const cairn_sgd_config sgd = {1e-2, kind > 0 ? 0.9 : 0, 0.1, 0.5, kind == 2};
        for (int step = 0; step < 2; step++) {
            EACH(sgd_step, &sgd, count, F(p), F(g), kind > 0 ? F(m) : NULL);
            expect_near(p, count, 1e-6, 1e-3, "descent %d of %zu", kind, count);
        }
    }
    expect_near(m, count, 1e-6, 1e-3, "velocity");
    const cairn_lion_config lion = {1e-3, 0.9, 0.99, 0.1, 0.5};
    EACH(lion_step, &lion, count, F(p), F(g), F(m));
    expect_near(p, count, 1e-6, 1e-3, "Lion of %zu", count);
    expect_near(m, count, 1e-6, 1e-3, "Lion's moment");
    triple_free(&p);
    triple_free(&g);
    triple_free(&m);
    triple_free(&v);
}

void test_optimizer(void) {
    static const size_t counts[] = {1, 4096, 4097, 9000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) test_squares(counts[i]);
    test_rules(1);
    test_rules(1001);
    test_rules(17000);
}
