// SPDX-License-Identifier: Apache-2.0
/// One number per column: factors, biases, the norm of DoRA.

#include "both.h"

static void test_scale_columns(size_t rows, size_t width) {
    triple z = triple_floats(rows * width, 1, 61), n = triple_floats(width, 1, 62);
    triple d = triple_floats(width, 4, 63), b = triple_floats(width, 1, 64);
    triple y = triple_zeros(rows * width);
    EACH(scale_columns_forward, rows, width, F(z), F(n), F(d), F(b), F(y));
    expect_near(y, rows * width, 5e-7, 1e-3, "scale columns %zu x %zu", rows, width);
    EACH(scale_columns_forward, rows, width, F(z), F(n), F(d), NULL, F(y));
    expect_near(y, rows * width, 5e-7, 0, "scale columns without bias");
    EACH(scale_columns_backward, rows, width, F(z), F(n), F(d), F(y));
    expect_near(y, rows * width, 5e-7, 0, "scale columns backward");
    triple_free(&z);
    triple_free(&n);
    triple_free(&d);
    triple_free(&b);
    triple_free(&y);
}

static void test_sums(const part *p, size_t width) {
    triple dy = triple_floats(PART_ROWS * width, 1, 71), z = triple_floats(PART_ROWS * width, 1, 72);
    triple d = triple_floats(width, 4, 73);
    triple sum = triple_floats(width, 1, 74), open = triple_floats(width, 1, 75);
    EACH(bias_gradient, &p->partition, width, F(dy), ((cairn_gradient){F(sum), F(open)}));
    expect_near(sum, width, 1e-6, 1, "bias gradient, %s: sum", p->name);
    expect_near(open, width, 1e-6, 1, "bias gradient, %s: open", p->name);
    EACH(scale_columns_gradient, &p->partition, width, F(dy), F(z), F(d),
         ((cairn_gradient){F(sum), F(open)}));
    expect_near(sum, width, 1e-6, 10, "scale columns gradient, %s: sum", p->name);
    expect_near(open, width, 1e-6, 10, "scale columns gradient, %s: open", p->name);
    triple_free(&dy);
    triple_free(&z);
    triple_free(&d);
    triple_free(&sum);
    triple_free(&open);
}

static void test_dora(size_t out, size_t in, size_t rank, cairn_dtype dtype) {
    triple w = triple_weights(out * in, dtype, 81), a = triple_floats(rank * in, 1, 82);
    triple b = triple_floats(out * rank, 1, 83), norm = triple_zeros(out);
    EACH(dora_norm, out, in, rank, 0.5f, P(w), dtype, F(a), F(b), F(norm));
    expect_near(norm, out, 2e-6, 0, "DoRA norm %zu x %zu, rank %zu", out, in, rank);
    triple_free(&w);
    triple_free(&a);
    triple_free(&b);
    triple_free(&norm);
}

void test_columns(void) {
    test_scale_columns(1, 1);
    test_scale_columns(5, 130);
    for (size_t i = 0; i < part_count; i++) {
        test_sums(&parts[i], 1);
        test_sums(&parts[i], 100);
    }
    test_dora(1, 1, 1, CAIRN_DTYPE_F32);
    test_dora(5, 300, 4, CAIRN_DTYPE_BF16);
    test_dora(3, 64, 8, CAIRN_DTYPE_F16);
}
