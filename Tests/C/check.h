// SPDX-License-Identifier: Apache-2.0
/// What the C tests share: counting, seeded numbers, every instruction set of this machine.

#ifndef CAIRN_CHECK_H
#define CAIRN_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cairn.h"

static size_t passed, failed;

/// Counts one check; prints the message of a failed one, at most 20 of them.
__attribute__((format(printf, 2, 3), unused))
static bool check(bool condition, const char *format, ...) {
    if (condition) {
        passed++;
        return true;
    }
    if (failed++ < 20) {
        va_list arguments;
        va_start(arguments, format);
        printf("FAILED: ");
        vprintf(format, arguments);
        printf("\n");
        va_end(arguments);
    }
    return false;
}

/// Prints the counts; the exit status of the program.
__attribute__((unused)) static int summary(void) {
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static uint64_t random_state = 1;

/// SplitMix64: the same numbers on every machine.
__attribute__((unused)) static uint64_t random_word(void) {
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/// Uniform in 0..<bound.
__attribute__((unused)) static size_t random_below(size_t bound) {
    return (size_t)(random_word() % bound);
}

/// Uniform in (-1, 1) with 24 bits.
__attribute__((unused)) static float random_float(void) {
    return (float)((int64_t)(random_word() >> 40) - (1 << 23)) * 0x1p-23f;
}

/// Memory that ends exactly where its last byte does, so that a sanitizer sees one byte too many.
__attribute__((unused)) static void *exact(size_t bytes) {
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) abort();
    return memory;
}

__attribute__((unused)) static float *random_floats(size_t count) {
    float *x = exact(count * sizeof(float));
    for (size_t i = 0; i < count; i++) x[i] = random_float();
    return x;
}

/// A context, or the end of the program.
__attribute__((unused)) static cairn_context *make_context(cairn_isa isa, size_t threads) {
    cairn_context *context = NULL;
    const cairn_status status = cairn_context_create(isa, threads, &context);
    if (status != CAIRN_STATUS_OK) {
        printf("cairn_context_create(%d, %zu) gave %d\n", (int)isa, threads, (int)status);
        exit(EXIT_FAILURE);
    }
    return context;
}

enum { ISA_COUNT = CAIRN_ISA_AVX512BF16 + 1 };

/// The supported instruction sets; returns how many.
__attribute__((unused)) static size_t supported_isas(cairn_isa isas[ISA_COUNT]) {
    size_t count = 0;
    for (int isa = CAIRN_ISA_SCALAR; isa < ISA_COUNT; isa++)
        if (cairn_isa_is_supported((cairn_isa)isa)) isas[count++] = (cairn_isa)isa;
    return count;
}

/// Equal bits, or both NaN: which NaN comes out is the hardware's choice.
__attribute__((unused)) static bool same_float(float a, float b) {
    return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0;
}

/// The first index where two arrays differ, or `count`.
__attribute__((unused)) static size_t first_difference(const float *a, const float *b,
                                                       size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!same_float(a[i], b[i])) return i;
    return count;
}

#endif
