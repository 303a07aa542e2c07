// SPDX-License-Identifier: Apache-2.0
/// Elements, activations, dropout and rotation: the CPU's formulas, so nearly the CPU's bits.

#include "both.h"

/// A few units in the last place: the devices' divisions and roots may be other than the host's.
static const double CLOSE = 5e-7;

/// Lengths around the block, and more than the grid of a small device takes at once.
static const size_t lengths[] = {1, 255, 256, 257, 20000};

static void test_binary(size_t count) {
    triple a = triple_floats(count, 3, 11), b = triple_floats(count, 3, 12);
    triple y = triple_zeros(count);
    EACH(add, count, F(a), 0.3f, F(b), F(y));
    expect_near(y, count, CLOSE, 0, "add %zu", count);
    EACH(multiply, count, F(a), F(b), F(y));
    expect_near(y, count, CLOSE, 0, "multiply %zu", count);
    EACH(scale, count, -1.7f, F(a), F(y));
    expect_near(y, count, CLOSE, 0, "scale %zu", count);
    EACH(add, count, F(y), 2, F(y), F(y));
    expect_near(y, count, CLOSE, 0, "add in place %zu", count);
    triple_free(&a);
    triple_free(&b);
    triple_free(&y);
}

static void test_activation(cairn_activation function, float amplitude) {
    const size_t count = 1000;
    triple x = triple_floats(count, amplitude, 21), up = triple_floats(count, 2, 22);
    triple dy = triple_floats(count, 1, 23), y = triple_zeros(count), z = triple_zeros(count);
    EACH(activation_forward, function, count, F(x), F(y));
    expect_near(y, count, CLOSE, 0, "activation %d of %g", function, (double)amplitude);
    EACH(activation_slope, function, count, F(x), F(y), F(z));
    expect_near(y, count, CLOSE, 0, "activation %d beside its slope", function);
    expect_near(z, count, CLOSE, 0, "slope of activation %d", function);
    EACH(activation_backward, function, count, F(x), F(dy), F(y));
    expect_near(y, count, CLOSE, 0, "activation %d backward", function);
    EACH(gated_forward, function, count, F(x), F(up), F(y));
    expect_near(y, count, CLOSE, 0, "gated %d", function);
    EACH(gated_backward, function, count, F(x), F(up), F(dy), F(y), F(z));
    expect_near(y, count, CLOSE, 0, "gated %d backward, gate", function);
    expect_near(z, count, CLOSE, 0, "gated %d backward, up", function);
    triple_free(&x);
    triple_free(&up);
    triple_free(&dy);
    triple_free(&y);
    triple_free(&z);
}

static void test_widen(cairn_dtype dtype) {
    const size_t count = 777;
    triple w = triple_weights(count, dtype, 31), y = triple_zeros(count);
    EACH(widen, count, P(w), dtype, F(y));
    expect_near(y, count, 0, 0, "widen %d", dtype);
    triple_free(&w);
    triple_free(&y);
}

/// A probability just above a number that one of the first row's features draws: it is not kept.
static float above_a_draw(uint64_t key, uint32_t step, uint32_t row_id) {
    const uint32_t halves[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    for (uint32_t quad = 0;; quad++) {
        uint32_t words[4] = {quad, 0, row_id, step};
        cairn_philox(words, halves);
        // So small that half a unit more is a float.
        if (words[0] >> 8 < 1 << 22) return ((float)(words[0] >> 8) + 0.5f) * 0x1p-24f;
    }
}

static void test_dropout(size_t rows, size_t width, float probability) {
    const cairn_dropout_config config = {probability, 0x123456789abcdef0u, 7};
    uint32_t ids[64], places[64];
    for (uint32_t i = 0; i < rows; i++) {
        ids[i] = i / 3 + 1000000000u;
        places[i] = i % 3 * 5;
    }
    triple row_ids = triple_of(ids, rows * sizeof *ids);
    triple positions = triple_of(places, rows * sizeof *places);
    triple x = triple_floats(rows * width, 1, 41);
    EACH(dropout, &config, rows, width, U(row_ids), U(positions), F(x), F(x));
    expect_near(x, rows * width, 0, 0, "dropout %g of %zu x %zu", (double)probability, rows, width);
    triple_free(&row_ids);
    triple_free(&positions);
    triple_free(&x);
}

static void test_rope(size_t rows, size_t heads, size_t half, bool inverse) {
    enum { PLACES = 50 };
    float cosine[PLACES * 64], sine[PLACES * 64];
    double frequencies[64];
    uint32_t at[64];
    for (size_t j = 0; j < half; j++) frequencies[j] = 1.0 / (1.0 + (double)j);
    cairn_rope_table(PLACES, half, frequencies, cosine, sine);
    for (uint32_t i = 0; i < rows; i++) at[i] = i * 7 % PLACES;
    triple positions = triple_of(at, rows * sizeof *at);
    triple c = triple_of(cosine, PLACES * half * sizeof(float));
    triple s = triple_of(sine, PLACES * half * sizeof(float));
    triple x = triple_floats(rows * heads * 2 * half, 1, 51);
    EACH(rope, rows, heads, half, U(positions), F(c), F(s), inverse, F(x), F(x));
    expect_near(x, rows * heads * 2 * half, CLOSE, 1e-3, "rope %zu %zu %zu", rows, heads, half);
    triple_free(&positions);
    triple_free(&c);
    triple_free(&s);
    triple_free(&x);
}

void test_elementwise(void) {
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) test_binary(lengths[i]);
    for (cairn_activation f = CAIRN_ACTIVATION_SILU; f <= CAIRN_ACTIVATION_TANH; f++) {
        test_activation(f, 1);
        test_activation(f, 12);
        test_activation(f, 300);
    }
    for (cairn_dtype d = CAIRN_DTYPE_F32; d <= CAIRN_DTYPE_F16; d++) test_widen(d);
    test_dropout(1, 1, 0.5f);
    test_dropout(7, 33, 0.1f);
    test_dropout(20, 64, 0.9f);
    test_dropout(3, 10, 0);
    test_dropout(1, 64, above_a_draw(0x123456789abcdef0u, 7, 1000000000u));
    test_rope(1, 1, 1, false);
    test_rope(5, 3, 16, false);
    test_rope(9, 2, 20, true);
}
