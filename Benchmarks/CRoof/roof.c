// SPDX-License-Identifier: Apache-2.0
/// The roof: independent chains of multiply-adds, enough of them to hide the latency.

// The clock is not part of C11, which the package is built as.
#define _POSIX_C_SOURCE 200809L

#include "roof.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/// Runs long enough (some milliseconds) that the clock's resolution does not show.
enum { ROUNDS = 200000, RUNS = 100 };

/// 20 chains cover 2 units of latency 4 twice over and leave registers for the operands;
/// machines with 16 registers hold 12.
enum { WIDE_CHAINS = 20, NARROW_CHAINS = 12, SCALAR_CHAINS = 8 };

/// A run: returns how many operations it did.
typedef double (*roof_run)(void);

/// What the chains end in, so that no run can be left out.
static volatile float sink;

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double best_of_runs(roof_run run) {
    double best = 0;
    for (int i = 0; i < RUNS; i++) {
        double start = seconds();
        double operations = run();
        double rate = operations / (seconds() - start) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

static inline void keep_loop(void) { __asm__ volatile("" ::: "memory"); }

#if defined(__x86_64__)

__attribute__((target("avx512f"))) static double fp32_avx512(void) {
    __m512 sums[WIDE_CHAINS], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1.0f);
    for (int i = 0; i < WIDE_CHAINS; i++) sums[i] = _mm512_set1_ps((float)i);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WIDE_CHAINS; i++) sums[i] = _mm512_fmadd_ps(x, y, sums[i]);
        keep_loop();
    }
    for (int i = 0; i < WIDE_CHAINS; i++) sink += _mm512_reduce_add_ps(sums[i]);
    return 2.0 * 16 * WIDE_CHAINS * ROUNDS;
}

__attribute__((target("avx512f,avx512bf16"))) static double bf16_avx512(void) {
    __m512 sums[WIDE_CHAINS];
    __m512bh one = (__m512bh)_mm512_set1_epi16(0x3f80);
    for (int i = 0; i < WIDE_CHAINS; i++) sums[i] = _mm512_set1_ps((float)i);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WIDE_CHAINS; i++) sums[i] = _mm512_dpbf16_ps(sums[i], one, one);
        keep_loop();
    }
    for (int i = 0; i < WIDE_CHAINS; i++) sink += _mm512_reduce_add_ps(sums[i]);
    return 4.0 * 16 * WIDE_CHAINS * ROUNDS;
}

__attribute__((target("avx2,fma"))) static double fp32_avx2(void) {
    __m256 sums[NARROW_CHAINS], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1.0f);
    for (int i = 0; i < NARROW_CHAINS; i++) sums[i] = _mm256_set1_ps((float)i);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < NARROW_CHAINS; i++) sums[i] = _mm256_fmadd_ps(x, y, sums[i]);
        keep_loop();
    }
    float lanes[8];
    for (int i = 0; i < NARROW_CHAINS; i++) {
        _mm256_storeu_ps(lanes, sums[i]);
        sink += lanes[0];
    }
    return 2.0 * 8 * NARROW_CHAINS * ROUNDS;
}

#elif defined(__aarch64__)

static double fp32_neon(void) {
    float32x4_t sums[WIDE_CHAINS], x = vdupq_n_f32(0.999f), y = vdupq_n_f32(1.0f);
    for (int i = 0; i < WIDE_CHAINS; i++) sums[i] = vdupq_n_f32((float)i);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WIDE_CHAINS; i++) sums[i] = vfmaq_f32(sums[i], x, y);
        keep_loop();
    }
    for (int i = 0; i < WIDE_CHAINS; i++) sink += vaddvq_f32(sums[i]);
    return 2.0 * 4 * WIDE_CHAINS * ROUNDS;
}

#endif

#if !defined(__aarch64__)

static double fp32_scalar(void) {
    float sums[SCALAR_CHAINS];
    for (int i = 0; i < SCALAR_CHAINS; i++) sums[i] = (float)i;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SCALAR_CHAINS; i++) sums[i] = fmaf(0.999f, 1.0f, sums[i]);
        keep_loop();
    }
    for (int i = 0; i < SCALAR_CHAINS; i++) sink += sums[i];
    return 2.0 * SCALAR_CHAINS * ROUNDS;
}

#endif

double cairn_roof_fp32(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return best_of_runs(fp32_avx512);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return best_of_runs(fp32_avx2);
    }
    return best_of_runs(fp32_scalar);
#elif defined(__aarch64__)
    return best_of_runs(fp32_neon);
#else
    return best_of_runs(fp32_scalar);
#endif
}

double cairn_roof_bf16(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bf16")) return best_of_runs(bf16_avx512);
#endif
    return 0;
}

/// Beyond the second-level cache of any core, within the last one of most machines.
enum { COPIED_BYTES = 4 << 20, COPIES = 20 };

double cairn_roof_memory(void) {
    char *from = malloc(COPIED_BYTES), *to = malloc(COPIED_BYTES);
    double best = 0;
    if (from && to) {
        memset(from, 1, COPIED_BYTES);
        memset(to, 2, COPIED_BYTES);
        for (int i = 0; i < RUNS; i++) {
            double start = seconds();
            for (int copy = 0; copy < COPIES; copy++) {
                memcpy(to, from, COPIED_BYTES);
                // What was copied is looked at: else nothing need be.
                __asm__ volatile("" : : "r"(from), "r"(to) : "memory");
            }
            double rate = 2.0 * COPIED_BYTES * COPIES / (seconds() - start) * 1e-9;
            if (rate > best) best = rate;
        }
    }
    free(from);
    free(to);
    return best;
}
