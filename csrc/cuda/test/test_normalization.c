// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm; widths of a warp's rows and of a block's.

#include "both.h"

static void test_rms(size_t rows, size_t width, cairn_dtype dtype) {
    const size_t count = rows * width;
    triple x = triple_floats(count, 2, 91), w = triple_weights(width, dtype, 92);
    triple dy = triple_floats(count, 1, 93), y = triple_zeros(count), r = triple_zeros(rows);
    EACH(rms_norm_forward, rows, width, 1e-6f, F(x), P(w), dtype, F(y), F(r));
    expect_near(y, count, 2e-6, 1e-3, "RMSNorm %zu x %zu", rows, width);
    expect_near(r, rows, 2e-6, 0, "RMSNorm %zu x %zu: inverse", rows, width);
    EACH(rms_norm_backward, rows, width, F(x), P(w), dtype, F(r), F(dy), F(y));
    expect_near(y, count, 5e-6, 1, "RMSNorm backward %zu x %zu", rows, width);
    triple_free(&x);
    triple_free(&w);
    triple_free(&dy);
    triple_free(&y);
    triple_free(&r);
}

static void test_layer(size_t rows, size_t width, cairn_dtype dtype) {
    const size_t count = rows * width;
    triple x = triple_floats(count, 2, 94), w = triple_weights(width, dtype, 95);
    triple b = triple_weights(width, dtype, 96), dy = triple_floats(count, 1, 97);
    triple y = triple_zeros(count), m = triple_zeros(rows), r = triple_zeros(rows);
    EACH(layer_norm_forward, rows, width, 1e-5f, F(x), P(w), P(b), dtype, F(y), F(m), F(r));
    expect_near(y, count, 5e-6, 1, "LayerNorm %zu x %zu", rows, width);
    expect_near(m, rows, 2e-6, 1, "LayerNorm %zu x %zu: mean", rows, width);
    expect_near(r, rows, 5e-6, 0, "LayerNorm %zu x %zu: inverse", rows, width);
    EACH(layer_norm_backward, rows, width, F(x), P(w), dtype, F(m), F(r), F(dy), F(y));
    expect_near(y, count, 1e-5, 1, "LayerNorm backward %zu x %zu", rows, width);
    triple_free(&x);
    triple_free(&w);
    triple_free(&b);
    triple_free(&dy);
    triple_free(&y);
    triple_free(&m);
    triple_free(&r);
}

static void test_weight_gradients(const part *p, size_t width) {
    const size_t repeats = 3, runs = PART_ROWS * repeats;
    triple x = triple_floats(runs * width, 1, 101), dy = triple_floats(runs * width, 1, 102);
    triple m = triple_floats(runs, 1, 103), r = triple_floats(runs, 2, 104);
    triple sum = triple_floats(width, 1, 105), open = triple_floats(width, 1, 106);
    triple b_sum = triple_floats(width, 1, 107), b_open = triple_floats(width, 1, 108);
    EACH(rms_norm_weight_gradient, &p->partition, repeats, width, F(x), F(r), F(dy),
         ((cairn_gradient){F(sum), F(open)}));
    expect_near(sum, width, 1e-6, 10, "RMSNorm weight gradient, %s: sum", p->name);
    expect_near(open, width, 1e-6, 10, "RMSNorm weight gradient, %s: open", p->name);
    EACH(layer_norm_weight_gradient, &p->partition, width, F(x), F(m), F(r), F(dy),
         ((cairn_gradient){F(sum), F(open)}), ((cairn_gradient){F(b_sum), F(b_open)}));
    expect_near(sum, width, 1e-6, 10, "LayerNorm weight gradient, %s: sum", p->name);
    expect_near(open, width, 1e-6, 10, "LayerNorm weight gradient, %s: open", p->name);
    expect_near(b_sum, width, 1e-6, 1, "LayerNorm bias gradient, %s: sum", p->name);
    expect_near(b_open, width, 1e-6, 1, "LayerNorm bias gradient, %s: open", p->name);
    triple_free(&x);
    triple_free(&dy);
    triple_free(&m);
    triple_free(&r);
    triple_free(&sum);
    triple_free(&open);
    triple_free(&b_sum);
    triple_free(&b_open);
}

void test_normalization(void) {
    static const size_t widths[] = {1, 31, 64, 512, 513, 1100};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const cairn_dtype dtype = (cairn_dtype)(i % 3);
        test_rms(i == 2 ? 19 : 3, widths[i], dtype);
        test_layer(i == 2 ? 19 : 3, widths[i], dtype);
    }
    for (size_t i = 0; i < part_count; i++) test_weight_gradients(&parts[i], 70);
}
