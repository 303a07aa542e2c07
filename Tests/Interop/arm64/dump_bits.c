// SPDX-License-Identifier: Apache-2.0
/// Prints a hash of the result bits of every operation, one line each, for comparison between
/// machines, instruction sets and thread counts: `dump_bits best|scalar THREADS`.
///
/// Operands are seeded and cover 30 binary orders of magnitude, zeros and denormals; there is no
/// NaN, whose payload is the hardware's choice.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cairn.h"

// The operands themselves must not depend on the machine.
#pragma STDC FP_CONTRACT OFF

enum {
    ROWS = 37,      // Odd, so that bf16 pairs restart in the middle.
    WIDTH = 83,     // No multiple of 16.
    SEQUENCES = 5,
    POOL = 1 << 20,
    ACTIVATIONS = 5,
};

static float pool[POOL];
static size_t pool_used;
static uint64_t state;
static cairn_context *context;

// SplitMix64.
static uint64_t word(void) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t bound) { return (uint32_t)(word() % bound); }

/// Sign, 23 bits of mantissa and an exponent of -20 ... 3; one in 64 is zero or denormal.
static float number(void) {
    const uint64_t w = word();
    uint32_t bits = (uint32_t)w & 0x807fffff;
    if ((w >> 58) != 0)
        bits |= (uint32_t)(107 + (w >> 40) % 24) << 23;
    else if ((w >> 40) & 1)
        bits &= 0x80000000;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float *empty(size_t count) {
    if (pool_used + count > POOL) abort();
    float *memory = pool + pool_used;
    pool_used += count;
    return memset(memory, 0, count * sizeof(float));
}

static float *numbers(size_t count) {
    float *x = empty(count);
    for (size_t i = 0; i < count; i++) x[i] = number();
    return x;
}

static float *positive(size_t count) {
    float *x = numbers(count);
    for (size_t i = 0; i < count; i++) x[i] = x[i] * x[i] + 0.5f;
    return x;
}

/// Weights in storage type `dtype`; 16-bit exponents stay below 2.
static const void *weights(size_t count, cairn_dtype dtype) {
    if (dtype == CAIRN_DTYPE_F32) return numbers(count);
    uint16_t *x = (uint16_t *)empty((count + 1) / 2);
    for (size_t i = 0; i < count; i++) x[i] = (uint16_t)(word() & 0xbfff);
    return x;
}

/// Starts an operation: the same operands whatever ran before.
static void begin(uint64_t seed) {
    pool_used = 0;
    state = seed * 0x1000003;
}

/// FNV-1a, 64 bits.
static void print(const char *name, int variant, cairn_status status, const void *data,
                  size_t bytes) {
    if (status != CAIRN_STATUS_OK) {
        fprintf(stderr, "%s %d gave status %d\n", name, variant, (int)status);
        exit(EXIT_FAILURE);
    }
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
    printf("%s %d %016llx\n", name, variant, (unsigned long long)hash);
}

static void print_floats(const char *name, int variant, cairn_status status, const float *x,
                         size_t count) {
    print(name, variant, status, x, count * sizeof(float));
}

static const uint32_t offsets[SEQUENCES + 1] = {0, 1, 12, 19, 19, ROWS};
static const uint32_t groups[4] = {0, 2, 4, SEQUENCES};
static const cairn_partition partition = {SEQUENCES, offsets, 3, groups, false, false};

static cairn_gradient gradient(size_t count) {
    return (cairn_gradient){empty(count), empty(count)};
}

// MARK: Products

static void dump_matmul(void) {
    for (int variant = 0; variant < 48; variant++) {
        begin(100 + (uint64_t)variant);
        const cairn_dtype dtype = (cairn_dtype)(variant % 3);
        const size_t m = 1 + below(70), n = 1 + below(150), k = 1 + below(600), k2 = below(9);
        const bool transposed = variant / 3 % 2;
        const cairn_matmul_config config = {
            variant / 6 % 2 ? CAIRN_PRECISION_BF16 : CAIRN_PRECISION_FP32,
            variant / 12 % 2 ? 0.37f : 1, variant / 24 % 2};
        const cairn_matrix a = {numbers(m * k), CAIRN_DTYPE_F32, k, false};
        const cairn_matrix b = {weights(k * n, dtype), dtype, transposed ? k : n, transposed};
        const cairn_matrix a2 = {numbers(m * 9), CAIRN_DTYPE_F32, 9, false};
        const cairn_matrix b2 = {numbers(9 * n), CAIRN_DTYPE_F32, n, false};
        float *c = numbers(m * n);
        const cairn_status status =
            cairn_matmul(context, &config, m, n, k, &a, &b, k2, k2 ? &a2 : NULL, k2 ? &b2 : NULL,
                         variant % 5 ? numbers(n) : NULL, c, n);
        print_floats("matmul", variant, status, c, m * n);
    }
    for (int variant = 0; variant < 2; variant++) {
        begin(200 + (uint64_t)variant);
        const cairn_gradient g = gradient(WIDTH * 50);
        const cairn_status status = cairn_matmul_gradient(
            context, (cairn_precision)variant, &partition, WIDTH, 50, numbers(ROWS * WIDTH),
            numbers(ROWS * 50), g);
        print_floats("matmul_gradient", variant, status, g.sum, WIDTH * 50);
    }
}

/// Weights in codes: what they are, a product of codes, and products with what they stand for.
static void dump_quantized(void) {
    for (int variant = 0; variant < 6; variant++) {
        begin(250 + (uint64_t)variant);
        const cairn_dtype dtype = (cairn_dtype)(variant % 3);
        const size_t rows = variant / 3 ? 64 : 61, columns = variant / 3 ? 320 : WIDTH;
        const size_t stride = (columns + 63) / 64 * 64, count = rows * columns;
        const void *w = weights(count, dtype);
        int8_t *codes = (int8_t *)empty(rows * stride / 4), *scales = (int8_t *)empty(count / 256 + 1);
        float *row_scales = empty(rows), *middles = empty(count / 8192 + 2);
        int32_t *sums = (int32_t *)empty(rows);
        uint8_t *halves = (uint8_t *)empty(count / 8 + 1);
        cairn_status status =
            cairn_quantize_int8(context, rows, columns, w, dtype, codes, row_scales, sums);
        print("int8_codes", variant, status, codes, rows * stride);
        print_floats("int8_scales", variant, status, row_scales, rows);
        status = cairn_quantize_nf4(context, count, w, dtype, halves, scales, middles);
        print("nf4_codes", variant, status, halves, (count + 1) / 2);
        print("nf4_scales", variant, status, scales, (count + 63) / 64);
        const cairn_int8 eight = {codes, row_scales, sums, columns, stride};
        const cairn_nf4 four = {halves, scales, middles};
        float *y = empty(ROWS * rows);
        status = cairn_matmul_int8(context, ROWS, rows, numbers(ROWS * columns), &eight,
                                   variant % 2 ? numbers(rows) : NULL, y);
        print_floats("matmul_int8", variant, status, y, ROWS * rows);
        for (int kind = 0; kind < 2; kind++) {
            const cairn_matmul_config config = {
                variant % 2 ? CAIRN_PRECISION_BF16 : CAIRN_PRECISION_FP32, 1, false};
            const cairn_matrix a = {numbers(ROWS * rows), CAIRN_DTYPE_F32, rows, false};
            const cairn_matrix b = {kind ? (const void *)&four : &eight,
                                    kind ? CAIRN_DTYPE_NF4 : CAIRN_DTYPE_I8, columns, false};
            float *c = empty(ROWS * columns);
            status = cairn_matmul(context, &config, ROWS, columns, rows, &a, &b, 0, NULL, NULL,
                                  NULL, c, columns);
            print_floats(kind ? "matmul_nf4" : "matmul_codes", variant, status, c, ROWS * columns);
        }
    }
}

// MARK: Attention

static void dump_attention(void) {
    enum { HEADS = 4, KV = 2, HEAD = 20, KEYS = 300, QUERIES = 290 };
    const uint32_t keys[4] = {0, 1, 180, KEYS}, queries[4] = {0, 1, 170, QUERIES};
    uint32_t places[QUERIES];
    places[0] = 0;
    for (uint32_t i = 1; i < QUERIES; i++) places[i] = i < 170 ? i + 9 : i - 170;
    for (int variant = 0; variant < 3; variant++) {
        begin(300 + (uint64_t)variant);
        const cairn_attention_config config = {
            HEADS, KV, HEAD, 0.2236068f, variant > 0, variant == 2 ? 40 : 0, 3, queries, keys,
            places};
        const size_t q_count = QUERIES * HEADS * HEAD, k_count = KEYS * KV * HEAD;
        const float *q = numbers(q_count), *k = numbers(k_count), *v = numbers(k_count);
        const float *d_o = numbers(q_count);
        float *o = empty(q_count), *sums = empty(QUERIES * HEADS);
        float *dq = empty(q_count), *dk = empty(k_count), *dv = empty(k_count);
        cairn_status status = cairn_attention_forward(context, &config, q, k, v, o, sums);
        print_floats("attention", variant, status, o, q_count);
        print_floats("attention_log_sums", variant, status, sums, QUERIES * HEADS);
        status = cairn_attention_backward(context, &config, q, k, v, o, sums, d_o, dq, dk, dv);
        print_floats("attention_dq", variant, status, dq, q_count);
        print_floats("attention_dk", variant, status, dk, k_count);
        print_floats("attention_dv", variant, status, dv, k_count);
    }
}

static void dump_rope(void) {
    enum { HALF = 10, POSITIONS = 2000, HEADS = 3, COUNT = ROWS * HEADS * 2 * HALF };
    begin(400);
    double frequencies[HALF];
    for (int j = 0; j < HALF; j++) frequencies[j] = cairn_power(1e6, -(double)j / HALF);
    print("power", 0, CAIRN_STATUS_OK, frequencies, sizeof frequencies);
    float *cosine = empty(POSITIONS * HALF), *sine = empty(POSITIONS * HALF);
    cairn_rope_table(POSITIONS, HALF, frequencies, cosine, sine);
    print_floats("rope_cosine", 0, CAIRN_STATUS_OK, cosine, POSITIONS * HALF);
    print_floats("rope_sine", 0, CAIRN_STATUS_OK, sine, POSITIONS * HALF);
    uint32_t positions[ROWS];
    for (int i = 0; i < ROWS; i++) positions[i] = below(POSITIONS);
    const float *x = numbers(COUNT);
    float *y = empty(COUNT);
    for (int inverse = 0; inverse < 2; inverse++) {
        const cairn_status status =
            cairn_rope(context, ROWS, HEADS, HALF, positions, cosine, sine, inverse, x, y);
        print_floats("rope", inverse, status, y, COUNT);
    }
}

// MARK: Normalization

static void dump_norms(void) {
    for (int variant = 0; variant < 3; variant++) {
        begin(500 + (uint64_t)variant);
        const cairn_dtype dtype = (cairn_dtype)variant;
        const float *x = numbers(ROWS * WIDTH), *dy = numbers(ROWS * WIDTH);
        const void *w = weights(WIDTH, dtype), *b = weights(WIDTH, dtype);
        float *y = empty(ROWS * WIDTH), *mean = empty(ROWS), *r = empty(ROWS);
        cairn_gradient dw = gradient(WIDTH), db = gradient(WIDTH);
        cairn_status status =
            cairn_rms_norm_forward(context, ROWS, WIDTH, 1e-6f, x, w, dtype, y, r);
        print_floats("rms_norm", variant, status, y, ROWS * WIDTH);
        status = cairn_rms_norm_backward(context, ROWS, WIDTH, x, w, dtype, r, dy, y);
        print_floats("rms_norm_dx", variant, status, y, ROWS * WIDTH);
        status = cairn_rms_norm_weight_gradient(context, &partition, 1, WIDTH, x, r, dy, dw);
        print_floats("rms_norm_dw", variant, status, dw.sum, WIDTH);
        status = cairn_layer_norm_forward(context, ROWS, WIDTH, 1e-12f, x, w, b, dtype, y, mean, r);
        print_floats("layer_norm", variant, status, y, ROWS * WIDTH);
        status = cairn_layer_norm_backward(context, ROWS, WIDTH, x, w, dtype, mean, r, dy, y);
        print_floats("layer_norm_dx", variant, status, y, ROWS * WIDTH);
        dw = gradient(WIDTH);
        status = cairn_layer_norm_weight_gradient(context, &partition, WIDTH, x, mean, r, dy, dw,
                                                  db);
        print_floats("layer_norm_dw", variant, status, dw.sum, WIDTH);
        print_floats("layer_norm_db", variant, status, db.sum, WIDTH);
    }
}

// MARK: One element or column at a time

static void dump_activations(void) {
    enum { COUNT = 20011 };
    for (int f = 0; f < ACTIVATIONS; f++) {
        begin(600 + (uint64_t)f);
        const float *x = numbers(COUNT), *up = numbers(COUNT), *dy = numbers(COUNT);
        float *y = empty(COUNT), *z = empty(COUNT);
        const cairn_activation function = (cairn_activation)f;
        cairn_status status = cairn_activation_forward(context, function, COUNT, x, y);
        print_floats("activation", f, status, y, COUNT);
        status = cairn_activation_backward(context, function, COUNT, x, dy, y);
        print_floats("activation_dx", f, status, y, COUNT);
        status = cairn_gated_forward(context, function, COUNT, x, up, y);
        print_floats("gated", f, status, y, COUNT);
        status = cairn_gated_backward(context, function, COUNT, x, up, dy, y, z);
        print_floats("gated_dgate", f, status, y, COUNT);
        print_floats("gated_dup", f, status, z, COUNT);
    }
}

static void dump_elements(void) {
    enum { COUNT = 20011 };
    begin(700);
    const float *a = numbers(COUNT), *b = numbers(COUNT);
    float *y = empty(COUNT);
    print_floats("add", 0, cairn_add(context, COUNT, a, 0.3f, b, y), y, COUNT);
    print_floats("multiply", 0, cairn_multiply(context, COUNT, a, b, y), y, COUNT);
    print_floats("scale", 0, cairn_scale(context, COUNT, 0.3f, a, y), y, COUNT);
    for (int variant = 0; variant < 3; variant++) {
        const cairn_dtype dtype = (cairn_dtype)variant;
        const void *source = weights(COUNT, dtype);
        print_floats("widen", variant, cairn_widen(context, COUNT, source, dtype, y), y, COUNT);
    }
}

static void dump_columns(void) {
    begin(800);
    const float *z = numbers(ROWS * WIDTH), *dy = numbers(ROWS * WIDTH);
    const float *top = positive(WIDTH), *bottom = positive(WIDTH), *bias = numbers(WIDTH);
    float *y = empty(ROWS * WIDTH);
    cairn_status status =
        cairn_scale_columns_forward(context, ROWS, WIDTH, z, top, bottom, bias, y);
    print_floats("scale_columns", 0, status, y, ROWS * WIDTH);
    status = cairn_scale_columns_backward(context, ROWS, WIDTH, dy, top, bottom, y);
    print_floats("scale_columns_dz", 0, status, y, ROWS * WIDTH);
    cairn_gradient g = gradient(WIDTH);
    status = cairn_scale_columns_gradient(context, &partition, WIDTH, dy, z, bottom, g);
    print_floats("scale_columns_gradient", 0, status, g.sum, WIDTH);
    g = gradient(WIDTH);
    print_floats("bias_gradient", 0, cairn_bias_gradient(context, &partition, WIDTH, dy, g), g.sum,
                 WIDTH);
    for (int variant = 0; variant < 3; variant++) {
        const cairn_dtype dtype = (cairn_dtype)variant;
        const void *w = weights(ROWS * WIDTH, dtype);
        status = cairn_dora_norm(context, ROWS, WIDTH, 6, 2, w, dtype, numbers(6 * WIDTH),
                                 numbers(ROWS * 6), y);
        print_floats("dora_norm", variant, status, y, ROWS);
    }
}

// MARK: Rows, losses, optimizers, random numbers

static void dump_rows(void) {
    enum { VOCABULARY = 29 };
    begin(900);
    int32_t ids[ROWS];
    uint32_t indices[ROWS];
    for (int i = 0; i < ROWS; i++) {
        ids[i] = (int32_t)below(VOCABULARY);
        indices[i] = below(ROWS);
    }
    const float *x = numbers(ROWS * WIDTH);
    float *y = empty(ROWS * WIDTH);
    for (int variant = 0; variant < 3; variant++) {
        const cairn_dtype dtype = (cairn_dtype)variant;
        const void *table = weights(VOCABULARY * WIDTH, dtype);
        const cairn_status status =
            cairn_embedding_forward(context, ROWS, WIDTH, VOCABULARY, ids, table, dtype, y);
        print_floats("embedding", variant, status, y, ROWS * WIDTH);
    }
    const cairn_gradient g = gradient(VOCABULARY * WIDTH);
    cairn_status status =
        cairn_embedding_gradient(context, &partition, WIDTH, VOCABULARY, ids, x, g);
    print_floats("embedding_gradient", 0, status, g.sum, VOCABULARY * WIDTH);
    status = cairn_gather_rows(context, ROWS, ROWS, WIDTH, indices, x, y);
    print_floats("gather", 0, status, y, ROWS * WIDTH);
    status = cairn_scatter_rows(context, ROWS, ROWS, WIDTH, indices, x, y);
    print_floats("scatter", 0, status, y, ROWS * WIDTH);
    status = cairn_mean_rows_forward(context, SEQUENCES, WIDTH, offsets, x, y);
    print_floats("mean_rows", 0, status, y, SEQUENCES * WIDTH);
    status = cairn_mean_rows_backward(context, SEQUENCES, WIDTH, offsets, x, y);
    print_floats("mean_rows_dx", 0, status, y, ROWS * WIDTH);
}

static void dump_losses(void) {
    begin(1000);
    const float *x = numbers(ROWS * WIDTH), *t = positive(ROWS * WIDTH);
    float *d = empty(ROWS * WIDTH), *losses = empty(ROWS);
    int32_t targets[ROWS];
    for (int i = 0; i < ROWS; i++) targets[i] = i % 7 ? (int32_t)below(WIDTH) : -100;
    print_floats("softmax", 0, cairn_softmax(context, ROWS, WIDTH, x, d), d, ROWS * WIDTH);
    const cairn_cross_entropy_config config = {positive(WIDTH), 0.1f, -100, 0.03f};
    cairn_status status =
        cairn_cross_entropy(context, &config, ROWS, WIDTH, x, targets, losses, d);
    print_floats("cross_entropy", 0, status, losses, ROWS);
    print_floats("cross_entropy_d", 0, status, d, ROWS * WIDTH);
    status = cairn_binary_cross_entropy(context, ROWS, WIDTH, 0.03f, x, t, losses, d);
    print_floats("binary_cross_entropy", 0, status, losses, ROWS);
    print_floats("binary_cross_entropy_d", 0, status, d, ROWS * WIDTH);
    status = cairn_squared_error(context, ROWS, WIDTH, 0.03f, x, t, losses, d);
    print_floats("squared_error", 0, status, losses, ROWS);
    print_floats("squared_error_d", 0, status, d, ROWS * WIDTH);
}

static void dump_optimizers(void) {
    enum { COUNT = 20011 };
    begin(1100);
    const float *g = numbers(COUNT);
    float *p = numbers(COUNT), *m = numbers(COUNT), *v = positive(COUNT);
    double sum = 0;
    print("sum_of_squares", 0, cairn_sum_of_squares(context, COUNT, g, &sum), &sum, sizeof sum);
    const cairn_adam_config adam = {2.3e-4, 0.9, 0.999, 1e-8, 0.013, 0.71};
    for (int t = 1; t <= 3000; t = t * 5 + 2) {
        const cairn_status status =
            cairn_adamw_step(context, &adam, (uint64_t)t, COUNT, p, g, m, v);
        print_floats("adamw_p", t, status, p, COUNT);
        print_floats("adamw_m", t, status, m, COUNT);
        print_floats("adamw_v", t, status, v, COUNT);
    }
    cairn_status status = cairn_adam_step(context, &adam, 7, COUNT, p, g, m, v);
    print_floats("adam_p", 0, status, p, COUNT);
    print_floats("adam_m", 0, status, m, COUNT);
    print_floats("adam_v", 0, status, v, COUNT);
    cairn_sgd_config sgd = {0.013, 0.9, 0.007, 0.71, false};
    print_floats("sgd", 0, cairn_sgd_step(context, &sgd, COUNT, p, g, m), p, COUNT);
    sgd.nesterov = true;
    print_floats("nesterov", 0, cairn_sgd_step(context, &sgd, COUNT, p, g, m), p, COUNT);
    const cairn_lion_config lion = {0.013, 0.9, 0.99, 0.007, 0.71};
    status = cairn_lion_step(context, &lion, COUNT, p, g, m);
    print_floats("lion_p", 0, status, p, COUNT);
    print_floats("lion_m", 0, status, m, COUNT);
}

static void dump_random(void) {
    begin(1200);
    uint32_t counter[4] = {1, 2, 3, 4};
    const uint32_t key[2] = {5, 6};
    cairn_philox(counter, key);
    print("philox", 0, CAIRN_STATUS_OK, counter, sizeof counter);
    uint32_t ids[ROWS], places[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
        ids[i] = i / 9;
        places[i] = i % 9;
    }
    const cairn_dropout_config config = {0.13f, 42, 7};
    float *y = empty(ROWS * WIDTH);
    const cairn_status status = cairn_dropout(context, &config, ROWS, WIDTH, ids, places,
                                              numbers(ROWS * WIDTH), y);
    print_floats("dropout", 0, status, y, ROWS * WIDTH);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: dump_bits best|scalar THREADS\n");
        return 2;
    }
    const cairn_isa isa = strcmp(argv[1], "best") == 0 ? cairn_isa_best() : CAIRN_ISA_SCALAR;
    cairn_context *created = NULL;
    if (cairn_context_create(isa, (size_t)atoi(argv[2]), &created) != CAIRN_STATUS_OK) return 1;
    context = created;
    dump_matmul();
    dump_quantized();
    dump_attention();
    dump_rope();
    dump_norms();
    dump_activations();
    dump_elements();
    dump_columns();
    dump_rows();
    dump_losses();
    dump_optimizers();
    dump_random();
    cairn_context_destroy(context);
    return 0;
}
