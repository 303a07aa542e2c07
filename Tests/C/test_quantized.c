// SPDX-License-Identifier: Apache-2.0
/// Weights in 8 and 4 bits against their definition, written out in integers and single roundings:
/// equal bits for every instruction set, number of threads, storage type and shape.

#include <math.h>

#include "check.h"
#include "core/core.h"
#include "matmul_reference.h"

enum { MAX_THREADS = 3 };

static cairn_isa isas[ISA_COUNT];
static size_t isa_count;
static cairn_context *contexts[ISA_COUNT][MAX_THREADS];

static float stored(const void *w, cairn_dtype dtype, size_t i) {
    const cairn_matrix x = {w, dtype, 0, false};
    return flush(element_reference(&x, 0, i));
}

/// Numbers of many sizes; some rows are zeros, some so small that they count as zeros.
static void *random_weight(size_t rows, size_t columns, cairn_dtype dtype) {
    void *w = exact(rows * columns * (dtype == CAIRN_DTYPE_F32 ? 4 : 2));
    for (size_t row = 0; row < rows; row++) {
        const float size = random_below(8) == 0 ? 0 : ldexpf(1, (int)random_below(12) - 8);
        const bool is_tiny = dtype != CAIRN_DTYPE_F16 && random_below(10) == 0;
        for (size_t i = row * columns; i < (row + 1) * columns; i++) {
            const float x = random_float() * (is_tiny ? 0x1p-101f : size);
            uint32_t bits;
            memcpy(&bits, &x, sizeof bits);
            if (dtype == CAIRN_DTYPE_F32) ((float *)w)[i] = x;
            if (dtype == CAIRN_DTYPE_BF16) ((uint16_t *)w)[i] = (uint16_t)(bits >> 16);
            if (dtype == CAIRN_DTYPE_F16) ((uint16_t *)w)[i] = (uint16_t)(random_word() & 0xbbff);
        }
    }
    return w;
}

// MARK: 8 bits

typedef struct row_codes {
    int32_t *codes;
    float scale;
} row_codes;

static void round_row(const float *x, size_t count, int32_t *codes, float *scale) {
    float largest = 0;
    bool is_finite = true;
    for (size_t i = 0; i < count; i++) {
        is_finite &= isfinite(x[i]) != 0;
        largest = fmaxf(largest, fabsf(x[i]));
    }
    const bool is_zero = !is_finite || largest < 0x1p-100f;
    *scale = !is_finite ? NAN : is_zero ? 0 : largest / 127;
    const float inverse = is_zero ? 0 : 127 / largest;
    for (size_t i = 0; i < count; i++)
        codes[i] = is_zero ? 0 : (int32_t)nearbyintf(flush(x[i] * inverse));
}

typedef struct int8_weight {
    cairn_int8 view;
    int8_t *codes;
    float *scales;
    int32_t *sums;
    size_t rows;
} int8_weight;

static int8_weight make_int8(cairn_context *context, size_t rows, size_t columns, const void *w,
                             cairn_dtype dtype) {
    int8_weight q = {.rows = rows};
    const size_t stride = (columns + 63) / 64 * 64;
    q.codes = exact(rows * stride);
    q.scales = exact(rows * sizeof(float));
    q.sums = exact(rows * sizeof(int32_t));
    memset(q.codes, 85, rows * stride);
    const cairn_status status =
        cairn_quantize_int8(context, rows, columns, w, dtype, q.codes, q.scales, q.sums);
    check(status == CAIRN_STATUS_OK, "quantize_int8 gave %d", (int)status);
    q.view = (cairn_int8){q.codes, q.scales, q.sums, columns, stride};
    return q;
}

static void release_int8(int8_weight *q) {
    free(q->codes);
    free(q->scales);
    free(q->sums);
}

static void check_int8_codes(const int8_weight *q, const void *w, cairn_dtype dtype) {
    const size_t columns = q->view.columns, stride = q->view.stride;
    float *row = exact(columns * sizeof(float)), scale;
    int32_t *codes = exact(columns * sizeof(int32_t));
    bool same = true;
    for (size_t o = 0; o < q->rows; o++) {
        for (size_t i = 0; i < columns; i++) row[i] = stored(w, dtype, o * columns + i);
        round_row(row, columns, codes, &scale);
        int32_t sum = 0;
        for (size_t i = 0; i < stride; i++) {
            const int32_t expected = i < columns ? codes[i] : 0;
            same &= q->codes[o * stride + i] == expected;
            sum += expected;
        }
        same &= same_float(scale, q->scales[o]) && sum == q->sums[o];
    }
    check(same, "codes of [%zu, %zu] in type %d", q->rows, columns, (int)dtype);
    free(row);
    free(codes);
}

static void check_int8_product(const int8_weight *q, size_t m) {
    const size_t columns = q->view.columns, n = q->rows;
    float *x = random_floats(m * columns), *bias = random_below(2) ? random_floats(n) : NULL;
    if (m > 2 && columns > 0) {
        memset(x, 0, columns * sizeof(float));
        x[2 * columns + random_below(columns)] = random_below(2) ? NAN : -INFINITY;
    }
    float *expected = exact(m * n * sizeof(float));
    int32_t *codes = exact(columns * sizeof(int32_t));
    for (size_t t = 0; t < m; t++) {
        float scale;
        round_row(x + t * columns, columns, codes, &scale);
        for (size_t o = 0; o < n; o++) {
            int64_t sum = 0;
            for (size_t i = 0; i < columns; i++)
                sum += (int64_t)codes[i] * q->codes[o * q->view.stride + i];
            float y = flush(flush((float)sum * scale) * q->scales[o]);
            if (bias) y = add_reference(y, bias[o]);
            expected[t * n + o] = y;
        }
    }
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) {
            float *c = exact(m * n * sizeof(float));
            const cairn_status status =
                cairn_matmul_int8(contexts[i][t], m, n, x, &q->view, bias, c);
            const size_t at = first_difference(c, expected, m * n);
            check(status == CAIRN_STATUS_OK && at == m * n,
                  "int8 product, isa %d, %zu threads, [%zu, %zu, %zu]: status %d, element %zu is "
                  "%a, not %a",
                  (int)isas[i], t + 1, m, n, columns, (int)status, at,
                  at < m * n ? (double)c[at] : 0, at < m * n ? (double)expected[at] : 0);
            free(c);
        }
    free(x);
    free(bias);
    free(expected);
    free(codes);
}

// MARK: 4 bits

typedef struct nf4_weight {
    cairn_nf4 view;
    uint8_t *codes;
    int8_t *scales;
    float *groups;
    size_t count;
} nf4_weight;

static size_t blocks_of(size_t count) { return (count + 63) / 64; }
static size_t groups_of(size_t count) { return (blocks_of(count) + 255) / 256; }

static nf4_weight make_nf4(cairn_context *context, size_t count, const void *w, cairn_dtype dtype) {
    nf4_weight q = {.count = count};
    q.codes = exact((count + 1) / 2);
    q.scales = exact(blocks_of(count));
    q.groups = exact(groups_of(count) * 2 * sizeof(float));
    const cairn_status status =
        cairn_quantize_nf4(context, count, w, dtype, q.codes, q.scales, q.groups);
    check(status == CAIRN_STATUS_OK, "quantize_nf4 gave %d", (int)status);
    q.view = (cairn_nf4){q.codes, q.scales, q.groups};
    return q;
}

static void release_nf4(nf4_weight *q) {
    free(q->codes);
    free(q->scales);
    free(q->groups);
}

/// Quantiles as the paper prints them.
static const float table[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

static unsigned half_byte(const nf4_weight *q, size_t e) {
    return e % 2 ? q->codes[e / 2] & 15 : q->codes[e / 2] >> 4;
}

static float nf4_element(const nf4_weight *q, size_t e) {
    const size_t block = e / 64;
    const float *group = q->groups + block / 256 * 2;
    return flush(table[half_byte(q, e)] *
                 fma_reference((float)q->scales[block], group[1], group[0]));
}

/// Every code is that of the nearest value, and every scale is within half a step of the true one.
static void check_nf4_codes(const nf4_weight *q, const void *w, cairn_dtype dtype) {
    size_t wrong = 0;
    for (size_t block = 0; block < blocks_of(q->count); block++) {
        const size_t first = block * 64, left = q->count - first;
        const size_t length = left < 64 ? left : 64;
        float largest = 0;
        for (size_t e = first; e < first + length; e++)
            largest = fmaxf(largest, fabsf(stored(w, dtype, e)));
        if (largest < 0x1p-100f) largest = 0;
        const float *group = q->groups + block / 256 * 2;
        const float scale = fmaf(q->scales[block], group[1], group[0]);
        wrong += !(fabsf(scale - largest) <= 0.5001f * group[1] + 1e-6f * largest);
        for (size_t e = first; e < first + length; e++) {
            const double x = largest > 0 ? (double)stored(w, dtype, e) / (double)largest : 0;
            const double error = fabs(x - (double)table[half_byte(q, e)]);
            for (size_t i = 0; i < 16; i++)
                wrong += !(error <= fabs(x - (double)table[i]) + 1e-6);
        }
    }
    check(wrong == 0, "%zu of %zu nf4 elements of type %d are not the nearest", wrong, q->count,
          (int)dtype);
}

/// A range is cut into 254 steps from its least to its largest scale.
static void check_nf4_groups(void) {
    enum { COUNT = 3 * 64 };
    float w[COUNT] = {0};
    w[3] = 2;
    w[70] = -1;
    w[130] = 1.5f;
    nf4_weight q = make_nf4(contexts[0][0], COUNT, w, CAIRN_DTYPE_F32);
    check(q.groups[0] == 1.5f && q.groups[1] == 0.5f / 127, "group %g, %g", (double)q.groups[0],
          (double)q.groups[1]);
    check(q.scales[0] == 127 && q.scales[1] == -127 && q.scales[2] == 0, "scales %d, %d, %d",
          q.scales[0], q.scales[1], q.scales[2]);
    check(half_byte(&q, 3) == 15 && half_byte(&q, 70) == 0 && half_byte(&q, 71) == 7,
          "codes %u, %u, %u", half_byte(&q, 3), half_byte(&q, 70), half_byte(&q, 71));
    release_nf4(&q);
    w[100] = NAN;
    q = make_nf4(contexts[0][0], COUNT, w, CAIRN_DTYPE_F32);
    check(isnan(q.groups[0]) != 0, "a group with NaN has the offset %g", (double)q.groups[0]);
    release_nf4(&q);
}

// MARK: Weights in products

/// A product with a weight in codes has the bits of one with the numbers that they stand for.
static void check_read(const void *codes, cairn_dtype dtype, const float *numbers, size_t rows,
                       size_t columns, size_t m) {
    const bool transposed = random_below(2);
    const size_t n = transposed ? rows : columns, k = transposed ? columns : rows;
    const cairn_matmul_config config = {
        random_below(2) ? CAIRN_PRECISION_BF16 : CAIRN_PRECISION_FP32, 1, false};
    float *x = random_floats(m * k), *expected = exact(m * n * sizeof(float));
    const cairn_matrix a = {x, CAIRN_DTYPE_F32, k, false};
    const cairn_matrix b = {codes, dtype, columns, transposed};
    const cairn_matrix plain = {numbers, CAIRN_DTYPE_F32, columns, transposed};
    matmul_reference(&config, m, n, k, &a, &plain, 0, NULL, NULL, NULL, expected, n);
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) {
            float *c = exact(m * n * sizeof(float));
            const cairn_status status = cairn_matmul(contexts[i][t], &config, m, n, k, &a, &b, 0,
                                                     NULL, NULL, NULL, c, n);
            const size_t at = first_difference(c, expected, m * n);
            check(status == CAIRN_STATUS_OK && at == m * n,
                  "weight of type %d%s, isa %d, %zu threads, %s, [%zu, %zu, %zu]: element %zu is "
                  "%a, not %a",
                  (int)dtype, transposed ? "^T" : "", (int)isas[i], t + 1,
                  config.precision == CAIRN_PRECISION_BF16 ? "bf16" : "fp32", m, n, k, at,
                  at < m * n ? (double)c[at] : 0, at < m * n ? (double)expected[at] : 0);
            free(c);
        }
    free(x);
    free(expected);
}

/// DoRA's norm of a weight in codes is that of its numbers.
static void check_norm(const void *codes, cairn_dtype dtype, const float *numbers, size_t rows,
                       size_t columns) {
    float *a = random_floats(2 * columns), *b = random_floats(rows * 2);
    float *expected = exact(rows * sizeof(float)), *norm = exact(rows * sizeof(float));
    bool done = cairn_dora_norm(contexts[0][0], rows, columns, 2, 0.5f, numbers, CAIRN_DTYPE_F32, a,
                                b, expected) == CAIRN_STATUS_OK;
    for (size_t i = 0; i < isa_count; i++) {
        done &= cairn_dora_norm(contexts[i][1], rows, columns, 2, 0.5f, codes, dtype, a, b, norm) ==
                CAIRN_STATUS_OK;
        const size_t at = first_difference(norm, expected, rows);
        check(done && at == rows,
              "norm of a weight of type %d, isa %d, [%zu, %zu]: row %zu is %a, not %a", (int)dtype,
              (int)isas[i], rows, columns, at, at < rows ? (double)norm[at] : 0,
              at < rows ? (double)expected[at] : 0);
    }
    free(a);
    free(b);
    free(expected);
    free(norm);
}

/// The numbers themselves, across the ends of rows.
static void check_widened(const void *codes, cairn_dtype dtype, const float *numbers,
                          size_t count) {
    float *found = exact(count * sizeof(float));
    for (size_t i = 0; i < isa_count; i++) {
        const bool done =
            cairn_widen(contexts[i][0], count, codes, dtype, found) == CAIRN_STATUS_OK;
        check(done && first_difference(found, numbers, count) == count,
              "numbers of a weight of type %d, isa %d, %zu elements", (int)dtype, (int)isas[i],
              count);
    }
    free(found);
}

static void check_shape(size_t rows, size_t columns, size_t m) {
    const cairn_dtype dtype = (cairn_dtype)random_below(3);
    const size_t count = rows * columns;
    void *w = random_weight(rows, columns, dtype);
    float *numbers = exact(count * sizeof(float));

    int8_weight first = make_int8(contexts[0][0], rows, columns, w, dtype);
    check_int8_codes(&first, w, dtype);
    nf4_weight nf4 = make_nf4(contexts[0][0], count, w, dtype);
    check_nf4_codes(&nf4, w, dtype);
    for (size_t i = 0; i < isa_count; i++) {
        int8_weight other = make_int8(contexts[i][i % MAX_THREADS], rows, columns, w, dtype);
        check(memcmp(first.codes, other.codes, rows * first.view.stride) == 0 &&
                  first_difference(first.scales, other.scales, rows) == rows &&
                  memcmp(first.sums, other.sums, rows * sizeof(int32_t)) == 0,
              "int8 of [%zu, %zu], isa %d", rows, columns, (int)isas[i]);
        release_int8(&other);
        nf4_weight four = make_nf4(contexts[i][i % MAX_THREADS], count, w, dtype);
        check(memcmp(nf4.codes, four.codes, (count + 1) / 2) == 0 &&
                  memcmp(nf4.scales, four.scales, blocks_of(count)) == 0 &&
                  first_difference(nf4.groups, four.groups, groups_of(count) * 2) ==
                      groups_of(count) * 2,
              "nf4 of %zu, isa %d", count, (int)isas[i]);
        release_nf4(&four);
    }
    check_int8_product(&first, m);
    for (size_t e = 0; e < count; e++)
        numbers[e] = flush((float)first.codes[e / columns * first.view.stride + e % columns] *
                           first.scales[e / columns]);
    check_read(&first.view, CAIRN_DTYPE_I8, numbers, rows, columns, m);
    check_norm(&first.view, CAIRN_DTYPE_I8, numbers, rows, columns);
    check_widened(&first.view, CAIRN_DTYPE_I8, numbers, count);
    for (size_t e = 0; e < count; e++) numbers[e] = nf4_element(&nf4, e);
    check_read(&nf4.view, CAIRN_DTYPE_NF4, numbers, rows, columns, m);
    check_norm(&nf4.view, CAIRN_DTYPE_NF4, numbers, rows, columns);
    check_widened(&nf4.view, CAIRN_DTYPE_NF4, numbers, count);
    release_int8(&first);
    release_nf4(&nf4);
    free(w);
    free(numbers);
}

static void check_refusals(void) {
    float x[64] = {0}, scale;
    int8_t codes[64];
    int32_t sum;
    cairn_context *context = contexts[0][0];
    check(cairn_quantize_int8(context, 1, 0, x, CAIRN_DTYPE_F32, codes, &scale, &sum) ==
              CAIRN_STATUS_INVALID_ARGUMENT,
          "no columns");
    check(cairn_quantize_int8(context, 0, CAIRN_INT8_MOST + 1, x, CAIRN_DTYPE_F32, codes, &scale,
                              &sum) == CAIRN_STATUS_INVALID_ARGUMENT,
          "too many columns");
    check(cairn_quantize_int8(context, 1, 64, x, CAIRN_DTYPE_NF4, codes, &scale, &sum) ==
              CAIRN_STATUS_INVALID_ARGUMENT,
          "codes of codes");
    const cairn_matmul_config config = {CAIRN_PRECISION_FP32, 1, false};
    const cairn_matrix a = {x, CAIRN_DTYPE_I8, 8, false}, b = {x, CAIRN_DTYPE_F32, 8, false};
    float c[64];
    check(cairn_matmul(context, &config, 8, 8, 8, &a, &b, 0, NULL, NULL, NULL, c, 8) ==
              CAIRN_STATUS_INVALID_ARGUMENT,
          "codes on the left");
}

/// The largest sums that fit: every product is 127 * 127.
static void check_longest_row(void) {
    const size_t columns = CAIRN_INT8_MOST;
    float *x = exact(columns * sizeof(float));
    for (size_t i = 0; i < columns; i++) x[i] = 3;
    int8_weight q = make_int8(contexts[0][0], 1, columns, x, CAIRN_DTYPE_F32);
    for (size_t i = 0; i < isa_count; i++) {
        float c = 0;
        const float scale = 3.0f / 127, expected = (float)(columns * 127 * 127) * scale * scale;
        check(cairn_matmul_int8(contexts[i][0], 1, 1, x, &q.view, NULL, &c) == CAIRN_STATUS_OK &&
                  c == expected,
              "longest row, isa %d: %a, not %a", (int)isas[i], (double)c, (double)expected);
    }
    release_int8(&q);
    free(x);
}

int main(void) {
    isa_count = supported_isas(isas);
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) contexts[i][t] = make_context(isas[i], t + 1);
    for (size_t i = 0; i < 150; i++)
        check_shape(1 + random_below(70), 1 + random_below(80), random_below(40));
    for (size_t i = 0; i < 20; i++)
        check_shape(16 * (1 + random_below(5)), 64 * (1 + random_below(6)), random_below(30));
    check_shape(300, 192, 150);  // Three groups of nf4, several parts of rows.
    check_shape(33, 1100, 13);   // Two blocks along k.
    check_nf4_groups();
    check_refusals();
    check_longest_row();
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) cairn_context_destroy(contexts[i][t]);
    return summary();
}
