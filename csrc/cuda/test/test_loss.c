// SPDX-License-Identifier: Apache-2.0
/// Softmax and the losses; classes of a warp's rows and of a block's.

#include "both.h"

static void test_softmax(size_t rows, size_t classes) {
    triple x = triple_floats(rows * classes, 9, 151), p = triple_zeros(rows * classes);
    EACH(softmax, rows, classes, F(x), F(p));
    expect_near(p, rows * classes, 2e-6, 1e-9, "softmax %zu x %zu", rows, classes);
    EACH(softmax, rows, classes, F(x), F(x));
    expect_near(x, rows * classes, 2e-6, 1e-9, "softmax in place");
    triple_free(&x);
    triple_free(&p);
}

static void test_cross_entropy(size_t classes, float smoothing, bool weighted, bool in_place) {
    enum { ROWS = 11 };
    int32_t targets[ROWS];
    for (int32_t i = 0; i < ROWS; i++)
        targets[i] = i == 4 ? -100 : (int32_t)((size_t)i * 31 % classes);
    triple t = triple_of(targets, sizeof targets), w = triple_floats(classes, 1, 161);
    triple x = triple_floats(ROWS * classes, 9, 162), losses = triple_zeros(ROWS);
    triple d = triple_zeros(ROWS * classes);
    for (int e = 0; e < ENGINES; e++) {
        const cairn_cross_entropy_config config = {weighted ? F(w) : NULL, smoothing, -100, 0.25f};
        cairn_status status = engines[e].table->cross_entropy(
            engines[e].context, &config, ROWS, classes, F(x), I(t), F(losses), NULL);
        expect(status == CAIRN_STATUS_OK, "cross-entropy without gradient: %d", status);
        status = engines[e].table->cross_entropy(engines[e].context, &config, ROWS, classes, F(x),
                                                 I(t), F(losses), in_place ? F(x) : F(d));
        expect(status == CAIRN_STATUS_OK, "cross-entropy: %d", status);
    }
    expect_near(losses, ROWS, 3e-6, 1, "cross-entropy of %zu classes", classes);
    expect_near(in_place ? x : d, ROWS * classes, 3e-6, 1e-3, "its gradient, smoothing %g",
                (double)smoothing);
    triple_free(&t);
    triple_free(&w);
    triple_free(&x);
    triple_free(&losses);
    triple_free(&d);
}

static void test_others(size_t rows, size_t columns) {
    triple x = triple_floats(rows * columns, 6, 171), t = triple_floats(rows * columns, 1, 172);
    triple losses = triple_zeros(rows), d = triple_zeros(rows * columns);
    EACH(binary_cross_entropy, rows, columns, 0.5f, F(x), F(t), F(losses), F(d));
    expect_near(losses, rows, 2e-6, 1, "binary cross-entropy %zu x %zu", rows, columns);
    expect_near(d, rows * columns, 5e-7, 1e-3, "its gradient");
    EACH(squared_error, rows, columns, 0.5f, F(x), F(t), F(losses), F(d));
    expect_near(losses, rows, 2e-6, 1, "squared error %zu x %zu", rows, columns);
    expect_near(d, rows * columns, 5e-7, 0, "its gradient");
    EACH(binary_cross_entropy, rows, columns, 0.5f, F(x), F(t), F(losses), NULL);
    EACH(squared_error, rows, columns, 0.5f, F(x), F(t), F(losses), NULL);
    expect_near(losses, rows, 2e-6, 1, "squared error without gradient");
    triple_free(&x);
    triple_free(&t);
    triple_free(&losses);
    triple_free(&d);
}

void test_loss(void) {
    static const size_t classes[] = {2, 33, 512, 513, 1500};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        test_softmax(3, classes[i]);
        test_cross_entropy(classes[i], 0, false, false);
        test_cross_entropy(classes[i], 0.1f, i % 2 == 0, true);
        test_cross_entropy(classes[i], 0.2f, true, i % 2 == 0);
        test_others(5, classes[i]);
    }
    test_softmax(9, 1);
}
