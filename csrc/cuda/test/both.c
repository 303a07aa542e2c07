// SPDX-License-Identifier: Apache-2.0
/// Memory and comparisons of the tests that run on both engines.

#include "both.h"

#include <math.h>
#include <stdarg.h>

engine engines[ENGINES];
size_t passed, failed;

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state;
}

static float next_float(uint32_t *state) {
    return (float)((int32_t)next_random(state) >> 7) * 0x1p-24f;
}

triple triple_of(const void *host, size_t bytes) {
    triple values = {.bytes = bytes};
    for (int e = 0; e < ENGINES; e++) {
        values.at[e] = engines[e].table->allocate(engines[e].context, bytes);
        if (!values.at[e]) {
            printf("no %zu bytes on engine %d: %s\n", bytes, e,
                   engines[e].table->failure(engines[e].context));
            exit(1);
        }
        engines[e].table->copy_in(engines[e].context, values.at[e], host, bytes);
    }
    return values;
}

static void *host_memory(size_t bytes) {
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (!memory) exit(1);
    return memory;
}

triple triple_floats(size_t count, float amplitude, uint32_t seed) {
    float *host = host_memory(count * sizeof *host);
    for (size_t i = 0; i < count; i++) host[i] = amplitude * next_float(&seed);
    const triple values = triple_of(host, count * sizeof *host);
    free(host);
    return values;
}

triple triple_zeros(size_t count) { return triple_floats(count, 0, 1); }

/// The bits of a number as it is stored in sixteen bits, cut instead of rounded.
static uint16_t cut(float x, cairn_dtype dtype) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (dtype == CAIRN_DTYPE_BF16) return (uint16_t)(bits >> 16);
    const int32_t exponent = (int32_t)(bits >> 23 & 0xff) - 112;
    const uint32_t sign = bits >> 16 & 0x8000, mantissa = (bits & 0x7fffff) | 0x800000;
    if (exponent <= 0) return (uint16_t)(sign | (exponent < -10 ? 0 : mantissa >> (14 - exponent)));
    return (uint16_t)(sign | (uint32_t)exponent << 10 | (mantissa >> 13 & 0x3ff));
}

triple triple_weights(size_t count, cairn_dtype dtype, uint32_t seed) {
    if (dtype == CAIRN_DTYPE_F32) return triple_floats(count, 1, seed);
    uint16_t *host = host_memory(count * sizeof *host);
    for (size_t i = 0; i < count; i++) {
        // Some of them so small that fp16 has no exponent for them.
        const float x = next_float(&seed);
        host[i] = cut(i % 16 == 3 ? x * 0x1p-16f : x, dtype);
    }
    const triple values = triple_of(host, count * sizeof *host);
    free(host);
    return values;
}

void triple_free(triple *values) {
    for (int e = 0; e < ENGINES; e++) engines[e].table->release(engines[e].context, values->at[e]);
}

void expect(bool holds, const char *format, ...) {
    if (holds) {
        passed++;
        return;
    }
    failed++;
    va_list arguments;
    va_start(arguments, format);
    printf("FAIL ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void expect_near(triple values, size_t count, double bound, double scale, const char *format,
                 ...) {
    char name[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    float *host[ENGINES];
    for (int e = 0; e < ENGINES; e++) {
        host[e] = host_memory(count * sizeof(float));
        engines[e].table->copy_out(engines[e].context, host[e], values.at[e],
                                   count * sizeof(float));
    }
    size_t first = count;
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        const double a = (double)host[1][i], b = (double)host[0][i];
        const double error = fabs(a - b) / (fabs(b) + scale);
        if ((a == b) || (error <= bound)) continue;
        if (first == count) first = i;
        if (!(error <= worst)) worst = error;
    }
    expect(first == count, "%s: [%zu] is %.9g, the CPU has %.9g; worst %.3g of %.3g", name, first,
           first < count ? (double)host[1][first] : 0, first < count ? (double)host[0][first] : 0,
           worst, bound);
    expect(memcmp(host[1], host[2], count * sizeof(float)) == 0, "%s: two runs differ", name);
    for (int e = 0; e < ENGINES; e++) free(host[e]);
}

// Rows 0..<37 in sequences of 5, 0, 16, 1, 15.
static const uint32_t offsets[] = {0, 5, 5, 21, 22, 37};
static const uint32_t one[] = {0, 5}, three[] = {0, 2, 2, 5}, five[] = {0, 1, 2, 3, 4, 5};
const part parts[] = {
    {"one group", {5, offsets, 1, one, false, false}},
    {"three groups, one of them empty", {5, offsets, 3, three, false, false}},
    {"a resumed group", {5, offsets, 5, five, true, false}},
    {"a suspended group", {5, offsets, 5, five, false, true}},
    {"resumed and suspended", {5, offsets, 3, three, true, true}},
    {"one group, cut at both ends", {5, offsets, 1, one, true, true}},
};
const size_t part_count = sizeof parts / sizeof *parts;
