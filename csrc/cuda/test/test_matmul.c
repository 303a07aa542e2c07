// SPDX-License-Identifier: Apache-2.0
/// Products of every type, way of lying and ending; small ones and ones that cuBLASLt takes.

#include "both.h"

/// fp32 is one chain of fused multiply-adds on either engine, unless cuBLASLt cuts it; with bf16
/// the operands are alike and the order of the sum is not.
static const double FP32 = 2e-6, BF16 = 2e-6;

typedef struct shape {
    size_t m, n, k, k2;
} shape;

typedef struct way {
    bool a_transposed, b_transposed;
    cairn_dtype a, b;
    float scale;
    bool accumulate, bias;
} way;

static cairn_matrix matrix(const void *data, cairn_dtype dtype, size_t rows, size_t columns,
                           bool transposed, size_t padding) {
    return (cairn_matrix){data, dtype, (transposed ? rows : columns) + padding, transposed};
}

static triple stored(size_t rows, size_t columns, bool transposed, size_t padding,
                     cairn_dtype dtype, uint32_t seed) {
    const size_t lines = transposed ? columns : rows, length = transposed ? rows : columns;
    return triple_weights(lines * (length + padding), dtype, seed);
}

static void test_product(shape s, way w, cairn_precision precision, size_t padding) {
    const cairn_matmul_config config = {precision, w.scale, w.accumulate};
    triple a = stored(s.m, s.k, w.a_transposed, padding, w.a, 211);
    triple b = stored(s.k, s.n, w.b_transposed, padding, w.b, 212);
    triple a2 = stored(s.m, s.k2, false, 0, CAIRN_DTYPE_F32, 213);
    triple b2 = stored(s.k2, s.n, true, 0, CAIRN_DTYPE_F32, 214);
    triple bias = triple_floats(s.n, 1, 215), c = triple_floats(s.m * (s.n + padding), 1, 216);
    for (int e = 0; e < ENGINES; e++) {
        const cairn_matrix first = matrix(P(a), w.a, s.m, s.k, w.a_transposed, padding);
        const cairn_matrix second = matrix(P(b), w.b, s.k, s.n, w.b_transposed, padding);
        const cairn_matrix first2 = matrix(P(a2), CAIRN_DTYPE_F32, s.m, s.k2, false, 0);
        const cairn_matrix second2 = matrix(P(b2), CAIRN_DTYPE_F32, s.k2, s.n, true, 0);
        const cairn_status status = engines[e].table->matmul(
            engines[e].context, &config, s.m, s.n, s.k, &first, &second, s.k2,
            s.k2 ? &first2 : NULL, s.k2 ? &second2 : NULL, w.bias ? F(bias) : NULL, F(c),
            s.n + padding);
        expect(status == CAIRN_STATUS_OK, "matmul: %d", status);
    }
    // A sum of k products of numbers below 1, each rounded at 2^-24 of the sum so far.
    const double scale = 1 + (double)(s.k + s.k2) / 8;
    expect_near(c, s.m * (s.n + padding), precision == CAIRN_PRECISION_BF16 ? BF16 : FP32, scale,
                "%zu x %zu x %zu + %zu, %d%d types %d %d, precision %d", s.m, s.n, s.k, s.k2,
                w.a_transposed, w.b_transposed, w.a, w.b, precision);
    triple *all[] = {&a, &b, &a2, &b2, &bias, &c};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) triple_free(all[i]);
}

/// A layer with its pair: both results, in the order of a forward pass.
static void test_adapted(shape s, cairn_precision precision, bool has_bias) {
    const cairn_matmul_config config = {precision, 1, false};
    const size_t rank = s.k2;
    triple x = triple_floats(s.m * s.k, 1, 221), w = triple_weights(s.n * s.k, CAIRN_DTYPE_BF16, 222);
    triple a = triple_floats(rank * s.k, 1, 223), b = triple_floats(s.n * rank, 1, 224);
    triple bias = triple_floats(s.n, 1, 225);
    triple z = triple_floats(s.m * rank, 1, 226), y = triple_floats(s.m * s.n, 1, 227);
    for (int e = 0; e < ENGINES; e++) {
        const cairn_matrix rows = {P(x), CAIRN_DTYPE_F32, s.k, false};
        const cairn_matrix weight = {P(w), CAIRN_DTYPE_BF16, s.k, true};
        const cairn_adapter adapter = {rank, 0.5f, {P(a), CAIRN_DTYPE_F32, s.k, true},
                                       {P(b), CAIRN_DTYPE_F32, rank, true}, F(z)};
        const cairn_status status = engines[e].table->matmul_adapted(
            engines[e].context, &config, s.m, s.n, s.k, &rows, &weight, &adapter,
            has_bias ? F(bias) : NULL, F(y), s.n);
        expect(status == CAIRN_STATUS_OK, "matmul_adapted: %d", status);
    }
    const double scale = 1 + (double)s.k / 8;
    const double bound = precision == CAIRN_PRECISION_BF16 ? BF16 : FP32;
    expect_near(z, s.m * rank, bound, scale, "projected %zu x %zu x %zu", s.m, rank, s.k);
    // What is rounded to bf16 of two sums that differ in their last place may differ by one step.
    const double step = precision == CAIRN_PRECISION_BF16 ? 0x1p-9 : bound;
    expect_near(y, s.m * s.n, step, scale * (1 + (double)rank / 8),
                "adapted %zu x %zu x %zu + %zu, precision %d", s.m, s.n, s.k, rank, precision);
    triple *all[] = {&x, &w, &a, &b, &bias, &z, &y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) triple_free(all[i]);
}

void test_matmul(void) {
    for (int precision = CAIRN_PRECISION_FP32; precision <= CAIRN_PRECISION_BF16; precision++) {
        test_adapted((shape){5, 7, 9, 3}, (cairn_precision)precision, true);
        test_adapted((shape){40, 64, 96, 16}, (cairn_precision)precision, false);
        test_adapted((shape){130, 128, 256, 8}, (cairn_precision)precision, true);
    }
    static const shape shapes[] = {
        {1, 1, 1, 0}, {5, 7, 3, 2}, {64, 64, 64, 0}, {65, 70, 33, 16}, {130, 20, 100, 8},
        {3, 4, 0, 0},
    };
    static const way ways[] = {
        {false, true, CAIRN_DTYPE_F32, CAIRN_DTYPE_BF16, 1, false, true},
        {false, false, CAIRN_DTYPE_F32, CAIRN_DTYPE_F32, 0.5f, true, false},
        {true, false, CAIRN_DTYPE_F32, CAIRN_DTYPE_F16, 1, true, true},
        {true, true, CAIRN_DTYPE_BF16, CAIRN_DTYPE_F32, 2, false, false},
    };
    for (cairn_precision p = CAIRN_PRECISION_FP32; p <= CAIRN_PRECISION_BF16; p++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (size_t j = 0; j < sizeof ways / sizeof *ways; j++)
                test_product(shapes[i], ways[j], p, j % 2 == 0 ? 0 : 3);
        for (size_t j = 0; j < sizeof ways / sizeof *ways; j++)
            test_product((shape){70, 72, 68, 8}, ways[j], p, j % 2 == 0 ? 0 : 3);
    }
}
