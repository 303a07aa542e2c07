// SPDX-License-Identifier: Apache-2.0
/// Matrix products against their definition: equal bits for every instruction set, orientation,
/// storage type, precision, number of threads and cut into micro-batches.

#include <math.h>

#include "check.h"
#include "core/core.h"
#include "matmul_reference.h"

enum { MAX_THREADS = 5 };

static cairn_isa isas[ISA_COUNT];
static size_t isa_count;
static cairn_context *contexts[ISA_COUNT][MAX_THREADS];

static void make_contexts(void) {
    isa_count = supported_isas(isas);
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) contexts[i][t] = make_context(isas[i], t + 1);
}

static void destroy_contexts(void) {
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) cairn_context_destroy(contexts[i][t]);
}

typedef struct product {
    cairn_matmul_config config;
    size_t m, n, k, k2, c_stride;
    cairn_matrix a, b, a2, b2;
    float *bias;
} product;

static product random_product(size_t m, size_t n, size_t k, size_t k2) {
    product p = {.m = m, .n = n, .k = k, .k2 = k2};
    p.config.precision = random_below(2) ? CAIRN_PRECISION_BF16 : CAIRN_PRECISION_FP32;
    p.config.scale = random_below(2) ? 1 : random_float();
    p.config.accumulate = random_below(2);
    p.a = random_matrix(m, k, random_below(2), CAIRN_DTYPE_F32, random_below(3));
    p.b = random_matrix(k, n, random_below(2), (cairn_dtype)random_below(3), random_below(3));
    p.a2 = random_matrix(m, k2, random_below(2), CAIRN_DTYPE_F32, random_below(3));
    p.b2 = random_matrix(k2, n, random_below(2), (cairn_dtype)random_below(3), random_below(3));
    p.bias = random_below(2) ? random_floats(n) : NULL;
    p.c_stride = n + (n == 0) + random_below(3);
    return p;
}

static void release_product(product *p) {
    free((void *)p->a.data);
    free((void *)p->b.data);
    free((void *)p->a2.data);
    free((void *)p->b2.data);
    free(p->bias);
}

static cairn_status run(cairn_context *context, const product *p, float *c) {
    return cairn_matmul(context, &p->config, p->m, p->n, p->k, &p->a, &p->b, p->k2,
                        p->k2 ? &p->a2 : NULL, p->k2 ? &p->b2 : NULL, p->bias, c, p->c_stride);
}

static void check_product(const product *p, size_t most_threads) {
    const size_t count = p->m == 0 ? 0 : (p->m - 1) * p->c_stride + p->n;
    float *before = random_floats(count), *expected = exact(count * sizeof(float));
    memcpy(expected, before, count * sizeof(float));
    matmul_reference(&p->config, p->m, p->n, p->k, &p->a, &p->b, p->k2, &p->a2, &p->b2, p->bias,
                     expected, p->c_stride);
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < most_threads; t++) {
            float *c = exact(count * sizeof(float));
            memcpy(c, before, count * sizeof(float));
            const cairn_status status = run(contexts[i][t], p, c);
            const size_t at = first_difference(c, expected, count);
            check(status == CAIRN_STATUS_OK && at == count,
                  "%s, %zu threads, m %zu n %zu k %zu + %zu, A%s%s, B%s%s of type %d, %s, scale %g,"
                  " accumulate %d, bias %d: status %d, element (%zu, %zu) is %a, not %a",
                  isa_names[isas[i]], t + 1, p->m, p->n, p->k, p->k2, p->a.transposed ? "^T" : "",
                  p->a2.transposed ? "^T" : "", p->b.transposed ? "^T" : "",
                  p->b2.transposed ? "^T" : "", (int)p->b.dtype,
                  p->config.precision == CAIRN_PRECISION_BF16 ? "bf16" : "fp32",
                  (double)p->config.scale, p->config.accumulate, p->bias != NULL, (int)status,
                  at / p->c_stride, at % p->c_stride, at < count ? (double)c[at] : 0,
                  at < count ? (double)expected[at] : 0);
            free(c);
        }
    free(before);
    free(expected);
}

static void check_size(size_t m, size_t n, size_t k, size_t k2, size_t most_threads) {
    product p = random_product(m, n, k, k2);
    check_product(&p, most_threads);
    release_product(&p);
}

/// One below, at and one above a number.
static size_t near(size_t x) { return x + random_below(3) - (x > 0 ? 1 : 0); }

static void check_sizes(void) {
    for (size_t i = 0; i < 500; i++)
        check_size(random_below(40), random_below(70), random_below(40), random_below(20),
                   MAX_THREADS);
    for (size_t i = 0; i < isa_count; i++) {
        const cairn_matmul_kernels *kernels = contexts[i][0]->kernels->matmul;
        for (size_t j = 0; j < 40; j++)
            check_size(near(kernels->mr * random_below(4)), near(kernels->nr * random_below(4)),
                       near(kernels->kc * random_below(4)), near(random_below(2) * kernels->kc), 3);
        check_size(near(kernels->mr * kernels->row_tiles), near(kernels->nr), 37, 3, 3);
        check_size(near(96), near(kernels->nr * kernels->column_tiles), near(kernels->kc), 8, 3);
        // So many rows that threads, or groups of them, have their own.
        for (size_t threads = 2; threads <= MAX_THREADS; threads++)
            for (size_t j = 0; j < 2; j++)
                check_size(near(kernels->mr * 8 * threads), near(kernels->nr * 3),
                           near(random_below(2) ? 40 : kernels->kc), 16, MAX_THREADS);
        // Layers with LoRA: whole tiles, even cuts between columns, a second product of few words.
        for (size_t j = 0; j < 8; j++)
            check_size(near(3 * kernels->mr), kernels->nr * 12, 64 << random_below(2), 16,
                       MAX_THREADS);
    }
    check_size(0, 5, 5, 5, 2);
    check_size(5, 0, 5, 5, 2);
    for (size_t i = 0; i < 8; i++) check_size(5, 7, 0, i % 2 * 5, 2);
}

/// Infinities and NaN come out where they went in, even times zero; small numbers count as zero.
static void check_special_values(void) {
    for (size_t i = 0; i < 200; i++) {
        product p = random_product(1 + random_below(20), 1 + random_below(40),
                                   1 + random_below(30), random_below(10));
        static const float special[] = {INFINITY, -INFINITY, NAN, 0, -0.0f, 0x1p-127f,
                                        0x1.fffffep-127f, 0x1p-126f, 3e38f, 0x1.ff8p0f};
        const size_t columns = p.a.transposed ? p.m : p.k, rows = p.a.transposed ? p.k : p.m;
        float *a = (float *)p.a.data;
        for (size_t j = 0; j < 3; j++)
            a[random_below(rows) * p.a.stride + random_below(columns)] =
                special[random_below(sizeof special / sizeof *special)];
        if (p.b.dtype != CAIRN_DTYPE_F32)
            ((uint16_t *)p.b.data)[0] = (uint16_t)random_word();
        check_product(&p, 2);
        release_product(&p);
    }
}

/// Products of bf16 at every odd end of k, edge of m and n and storage type, in both orientations,
/// with a second product and without: pairs, whole panels and their tails.
static void check_pairs(void) {
    static const size_t ends[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65};
    enum { ENDS = sizeof ends / sizeof *ends };
    for (int dtype = CAIRN_DTYPE_F32; dtype <= CAIRN_DTYPE_F16; dtype++)
        for (int transposed = 0; transposed < 2; transposed++)
            for (size_t k = 0; k < ENDS; k++) {
                product p = random_product(ends[random_below(ENDS)], ends[random_below(ENDS)],
                                           ends[k], random_below(2) ? ends[random_below(ENDS)] : 0);
                free((void *)p.b.data);
                p.b = random_matrix(p.k, p.n, transposed, (cairn_dtype)dtype, random_below(3));
                p.config.precision = CAIRN_PRECISION_BF16;
                check_product(&p, 2);
                release_product(&p);
            }
}

/// Every bf16 and fp16 number is widened exactly (quiet NaN stays NaN): 1 * x = x.
static void check_widening(void) {
    uint16_t *words = exact(65536 * sizeof *words);
    float *c = exact(65536 * sizeof *c);
    for (size_t i = 0; i < 65536; i++) words[i] = (uint16_t)i;
    const float one = 1;
    const cairn_matmul_config config = {.scale = 1};
    const cairn_matrix a = {&one, CAIRN_DTYPE_F32, 1, false};
    for (int dtype = CAIRN_DTYPE_BF16; dtype <= CAIRN_DTYPE_F16; dtype++)
        for (size_t i = 0; i < isa_count; i++)
            for (int transposed = 0; transposed < 2; transposed++) {
                const cairn_matrix b = {words, (cairn_dtype)dtype, transposed ? 1 : 65536,
                                        transposed};
                const cairn_status status = cairn_matmul(contexts[i][0], &config, 1, 65536, 1, &a,
                                                         &b, 0, NULL, NULL, NULL, c, 65536);
                size_t wrong = 0;
                for (size_t j = 0; j < 65536; j++) {
                    const float x = element_reference(&b, 0, j);
                    wrong += !same_float(c[j], fabsf(x) < 0x1p-126f ? 0 : x);
                }
                check(status == CAIRN_STATUS_OK && wrong == 0, "%s: %zu numbers of type %d differ",
                      isa_names[isas[i]], wrong, dtype);
            }
    free(words);
    free(c);
}

/// Sequences, some empty, in groups, some empty.
typedef struct random_partition {
    size_t sequences, groups;
    uint32_t offsets[64], firsts[16];
} random_partition;

static random_partition make_partition(size_t longest) {
    random_partition p = {.sequences = random_below(12), .groups = 1 + random_below(8)};
    for (size_t s = 0; s < p.sequences; s++)
        p.offsets[s + 1] = p.offsets[s] + (uint32_t)random_below(longest + 1);
    for (size_t g = 1; g < p.groups; g++) {
        const size_t left = p.sequences - p.firsts[g - 1];
        p.firsts[g] = p.firsts[g - 1] + (uint32_t)random_below(left + 1);
    }
    p.firsts[p.groups] = (uint32_t)p.sequences;
    return p;
}

/// The sequences s0 ..< s1 as a micro-batch, with parts of groups g0 ..< g1.
static cairn_status run_piece(cairn_context *context, cairn_precision precision,
                              const random_partition *p, size_t s0, size_t s1, size_t g0,
                              size_t g1, bool resumes, bool suspends, size_t out, size_t in,
                              const float *dy, const float *x, cairn_gradient gradient) {
    uint32_t offsets[64], groups[16];
    const uint32_t first = p->offsets[s0];
    for (size_t s = s0; s <= s1; s++) offsets[s - s0] = p->offsets[s] - first;
    for (size_t g = g0; g <= g1; g++) {
        const size_t begin = p->firsts[g] < s0 ? s0 : p->firsts[g] > s1 ? s1 : p->firsts[g];
        groups[g - g0] = (uint32_t)(begin - s0);
    }
    const cairn_partition partition = {s1 - s0, offsets, g1 - g0, groups, resumes, suspends};
    return cairn_matmul_gradient(context, precision, &partition, out, in, dy + first * out,
                                 x + first * in, gradient);
}

/// The whole step in micro-batches that end at random sequences, inside groups or between them.
static bool run_cut(cairn_context *context, cairn_precision precision, const random_partition *p,
                    bool cuts, size_t out, size_t in, const float *dy, const float *x,
                    cairn_gradient gradient) {
    size_t s = 0, g = 0;
    bool resumes = false, good = true;
    while (g < p->groups) {
        size_t last = cuts ? g + random_below(p->groups - g) : p->groups - 1;
        size_t end = p->firsts[last + 1];
        bool suspends = false;
        const size_t begin = p->firsts[last] > s ? p->firsts[last] : s;
        if (cuts && random_below(2)) {
            end = begin + random_below(end - begin + 1);
            suspends = true;
        }
        good = good && run_piece(context, precision, p, s, end, g, last + 1, resumes, suspends,
                                 out, in, dy, x, gradient) == CAIRN_STATUS_OK;
        s = end;
        g = suspends ? last : last + 1;
        resumes = suspends;
    }
    return good;
}

static void check_gradient(size_t out, size_t in, size_t longest, size_t most_threads) {
    const random_partition p = make_partition(longest);
    const size_t rows = p.offsets[p.sequences], count = out * in;
    const cairn_precision precision =
        random_below(2) ? CAIRN_PRECISION_BF16 : CAIRN_PRECISION_FP32;
    float *dy = random_floats(rows * out), *x = random_floats(rows * in);
    float *expected = random_floats(count), *start = exact(count * sizeof(float));
    memcpy(start, expected, count * sizeof(float));
    gradient_reference(precision, p.offsets, p.groups, p.firsts, out, in, dy, x,
                       expected);
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < most_threads; t++) {
            float *sum = exact(count * sizeof(float)), *open = calloc(count + 1, sizeof(float));
            memcpy(sum, start, count * sizeof(float));
            const bool cuts = random_below(3) != 0;
            const bool good = run_cut(contexts[i][t], precision, &p, cuts, out, in, dy, x,
                                      (cairn_gradient){sum, open});
            const size_t at = first_difference(sum, expected, count);
            check(good && at == count,
                  "%s, %zu threads, gradient [%zu, %zu] over %zu rows, %zu sequences, %zu groups,"
                  " %s, cut %d: element %zu is %a, not %a",
                  isa_names[isas[i]], t + 1, out, in, rows, p.sequences, p.groups,
                  precision == CAIRN_PRECISION_BF16 ? "bf16" : "fp32", cuts, at,
                  at < count ? (double)sum[at] : 0, at < count ? (double)expected[at] : 0);
            free(sum);
            free(open);
        }
    free(dy);
    free(x);
    free(expected);
    free(start);
}

static void check_gradients(void) {
    for (size_t i = 0; i < 300; i++)
        check_gradient(random_below(40), random_below(70), random_below(30), 3);
    for (size_t i = 0; i < 20; i++) check_gradient(near(16), near(96), 400, MAX_THREADS);
    for (size_t i = 0; i < 20; i++) check_gradient(near(96), near(16), 400, MAX_THREADS);
    for (size_t i = 0; i < 20; i++) check_gradient(near(32), near(48), 100, MAX_THREADS);
    for (size_t i = 0; i < 20; i++) check_gradient(near(64), near(33), 100, MAX_THREADS);
    for (size_t i = 0; i < 4; i++) check_gradient(near(200), near(16), 200, MAX_THREADS);
}

int main(void) {
    make_contexts();
    check_sizes();
    check_special_values();
    check_pairs();
    check_widening();
    check_gradients();
    destroy_contexts();
    return summary();
}
