// SPDX-License-Identifier: Apache-2.0
/// A product with a LoRA pair has the bits of its two products, on every instruction set.

#include "check.h"
#include "core/core.h"
#include "matmul_reference.h"

enum { MAX_THREADS = 4 };

static cairn_isa isas[ISA_COUNT];
static size_t isa_count;
static cairn_context *contexts[ISA_COUNT][MAX_THREADS];

static void check_adapted(size_t m, size_t n, size_t k, size_t rank, bool turns, cairn_dtype type) {
    const cairn_matmul_config config = {
        .precision = random_below(2) ? CAIRN_PRECISION_BF16 : CAIRN_PRECISION_FP32,
        .scale = random_below(2) ? 1 : random_float(), .accumulate = random_below(2)};
    const float scale = random_below(2) ? 1 : random_float();
    const cairn_matmul_config down_config = {config.precision, scale, false};
    const cairn_matrix a = random_matrix(m, k, turns, type, random_below(3));
    const cairn_matrix b =
        random_matrix(k, n, random_below(2), (cairn_dtype)random_below(3), random_below(3));
    const cairn_matrix down =
        random_matrix(k, rank, random_below(2), (cairn_dtype)random_below(3), random_below(3));
    const cairn_matrix up =
        random_matrix(rank, n, random_below(2), (cairn_dtype)random_below(3), random_below(3));
    float *bias = random_below(2) ? random_floats(n) : NULL;
    const size_t stride = n + (n == 0) + random_below(3), count = (m - 1) * stride + n;
    float *before = random_floats(count), *expected = exact(count * sizeof(float));
    float *expected_z = exact(m * rank * sizeof(float));
    memcpy(expected, before, count * sizeof(float));
    matmul_reference(&down_config, m, rank, k, &a, &down, 0, NULL, NULL, NULL, expected_z, rank);
    const cairn_matrix z = {expected_z, CAIRN_DTYPE_F32, rank, false};
    matmul_reference(&config, m, n, k, &a, &b, rank, &z, &up, bias, expected, stride);
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) {
            float *c = exact(count * sizeof(float)), *projected = exact(m * rank * sizeof(float));
            memcpy(c, before, count * sizeof(float));
            const cairn_adapter adapter = {rank, scale, down, up, projected};
            const cairn_status status = cairn_matmul_adapted(contexts[i][t], &config, m, n, k, &a,
                                                             &b, &adapter, bias, c, stride);
            const size_t at = first_difference(c, expected, count);
            const size_t at_z = first_difference(projected, expected_z, m * rank);
            check(status == CAIRN_STATUS_OK && at == count && at_z == m * rank,
                  "%s, %zu threads, m %zu n %zu k %zu rank %zu, A%s of type %d, %s: status %d,"
                  " element %zu of %zu, projected %zu of %zu",
                  isa_names[isas[i]], t + 1, m, n, k, rank, turns ? "^T" : "", (int)type,
                  config.precision == CAIRN_PRECISION_BF16 ? "bf16" : "fp32", (int)status, at,
                  count, at_z, m * rank);
            free(c);
            free(projected);
        }
    free((void *)a.data);
    free((void *)b.data);
    free((void *)down.data);
    free((void *)up.data);
    free(bias);
    free(before);
    free(expected);
    free(expected_z);
}

static void check_sizes(void) {
    for (size_t i = 0; i < 300; i++)
        check_adapted(1 + random_below(50), 1 + random_below(70), random_below(90),
                      random_below(40), false, CAIRN_DTYPE_F32);
    // What is read in another way, and so in two products.
    for (size_t i = 0; i < 60; i++)
        check_adapted(1 + random_below(30), 1 + random_below(40), 1 + random_below(40),
                      1 + random_below(20), random_below(2), (cairn_dtype)random_below(3));
    for (size_t i = 0; i < isa_count; i++) {
        const cairn_matmul_kernels *kernels = contexts[i][0]->kernels->matmul;
        // Several blocks along k, rows in pieces and in the hands of several threads.
        for (size_t j = 0; j < 12; j++)
            check_adapted(1 + random_below(kernels->mr * 20), 1 + random_below(kernels->nr * 4),
                          kernels->kc * (1 + random_below(4)) + random_below(5) - 2,
                          1 + random_below(36), false, CAIRN_DTYPE_F32);
        check_adapted(kernels->mr * 8 * 3 + 5, kernels->nr * 3, 2 * kernels->kc, 16, false,
                      CAIRN_DTYPE_F32);
    }
    for (size_t i = 0; i < 4; i++) check_adapted(7, 0, 9, 3, false, CAIRN_DTYPE_F32);
    // A pair too large to be kept at hand.
    check_adapted(20, 40, 4096, 65, false, CAIRN_DTYPE_F32);
}

/// A in codes has no rows that a product could begin at.
static void check_refusal(void) {
    float z[4], c[4];
    const float one = 1;
    const cairn_matrix codes = {&one, CAIRN_DTYPE_I8, 1, false};
    const cairn_matrix number = {&one, CAIRN_DTYPE_F32, 1, false};
    const cairn_matmul_config config = {.scale = 1};
    const cairn_adapter adapter = {1, 1, number, number, z};
    check(cairn_matmul_adapted(contexts[0][0], &config, 1, 1, 1, &codes, &number, &adapter, NULL, c,
                               1) == CAIRN_STATUS_INVALID_ARGUMENT,
          "A in codes was taken");
}

int main(void) {
    isa_count = supported_isas(isas);
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) contexts[i][t] = make_context(isas[i], t + 1);
    check_sizes();
    check_refusal();
    for (size_t i = 0; i < isa_count; i++)
        for (size_t t = 0; t < MAX_THREADS; t++) cairn_context_destroy(contexts[i][t]);
    return summary();
}
