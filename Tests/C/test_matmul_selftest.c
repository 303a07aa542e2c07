// SPDX-License-Identifier: Apache-2.0
/// The self-test before AVX512-BF16 is used: it passes this machine's instructions if products
/// with them have the bits of the definition (test_matmul.c), and nothing that differs from them.

#include "check.h"
#include "core/core.h"
#include "matmul_reference.h"

#if defined(__x86_64__)
static void multiply_even_first(const float *a, const float *b, float *sum) {
    uint32_t x[16], y[16];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    for (size_t i = 0; i < 16; i++) {
        x[i] = x[i] << 16 | x[i] >> 16;
        y[i] = y[i] << 16 | y[i] >> 16;
    }
    cairn_pair_instructions.multiply_add((const float *)x, (const float *)y, sum);
}

static void multiply_wrong_once(const float *a, const float *b, float *sum) {
    static size_t calls;
    cairn_pair_instructions.multiply_add(a, b, sum);
    if (++calls % 400 == 0) {
        uint32_t bits;
        memcpy(&bits, &sum[9], sizeof bits);
        bits ^= 1;
        memcpy(&sum[9], &bits, sizeof bits);
    }
}

static void keep_denormal(const float *a, const float *b, float *sum) {
    float before[16];
    memcpy(before, sum, sizeof before);
    cairn_pair_instructions.multiply_add(a, b, sum);
    for (size_t i = 0; i < 16; i++) {
        uint32_t bits;
        memcpy(&bits, &before[i], sizeof bits);
        if ((bits & 0x7f800000) == 0) memcpy(&sum[i], &bits, sizeof bits);
    }
}

static void truncate_numbers(const float *even, const float *odd, float *words) {
    uint32_t x[16], y[16];
    memcpy(x, even, sizeof x);
    memcpy(y, odd, sizeof y);
    for (size_t i = 0; i < 16; i++) x[i] = x[i] >> 16 | (y[i] & 0xffff0000);
    memcpy(words, x, sizeof x);
}

static void flush_before_rounding(const float *even, const float *odd, float *words) {
    float x[16], y[16];
    for (size_t i = 0; i < 16; i++) {
        x[i] = flush(even[i]);
        y[i] = flush(odd[i]);
    }
    cairn_pair_instructions.round(x, y, words);
}

/// The self-test lets the instructions of this machine pass, and none that differs from them.
static void check_self_test(void) {
    if (!cairn_isa_is_supported(CAIRN_ISA_AVX512BF16)) return;
    const cairn_pair_operations real = cairn_pair_instructions;
    check(cairn_pairs_are_exact(&real), "the self-test refuses what every product passed");
    const cairn_pair_operations wrong[] = {
        {multiply_even_first, real.round},          {multiply_wrong_once, real.round},
        {keep_denormal, real.round},                {real.multiply_add, truncate_numbers},
        {real.multiply_add, flush_before_rounding},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        check(!cairn_pairs_are_exact(&wrong[i]), "the self-test passes wrong operations %zu", i);
}
#else
static void check_self_test(void) {}
#endif

int main(void) {
    cairn_isa isas[ISA_COUNT];
    check(supported_isas(isas) > 0, "no instruction set is supported");
    check_self_test();
    return summary();
}
