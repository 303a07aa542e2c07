// SPDX-License-Identifier: Apache-2.0
/// The library's own functions against libm in double: largest errors, special values, tables.

#include <float.h>
#include <math.h>

#include "check.h"
#include "math/math_double.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#endif
#include "core/simd.h"
#include "math/math_body.h"

typedef v16 (*vector_function)(v16 x);
typedef double (*exact_function)(double x);

static void apply(int function, const float *x, float *y) {
    const v16 value = v16_load(x);
    v16 second, result = value;
    if (function == 0) result = v16_exp(value);
    if (function == 1) result = v16_exp_bounded(value);
    if (function == 2) result = v16_log(value);
    if (function == 3) result = v16_log1p_unit(value);
    if (function == 4) result = v16_sigmoid(value, &second);
    if (function == 5) result = v16_tanh(value, &second);
    if (function == 6) result = v16_normal(value, &second);
    if (function == 7) v16_sigmoid(value, &second), result = second;
    if (function == 8) v16_tanh(value, &second), result = second;
    if (function == 9) v16_normal(value, &second), result = second;
    v16_store(y, result);
}
#if defined(__x86_64__)
#pragma clang attribute pop
#endif

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double normal(double x) { return erfc(-x * 0.70710678118654752440) / 2; }
static double sigmoid_slope(double x) {
    const double e = exp(-fabs(x));
    return e / ((1 + e) * (1 + e));
}
static double tanh_slope(double x) { return 4 * sigmoid_slope(2 * x); }
static double density(double x) { return 0.39894228040143267794 * exp(-x * x / 2); }

/// One function over [low, high], and the ulps that it may be off by: what the header states.
typedef struct sweep {
    const char *name;
    exact_function exact;
    double low, high, bound;
} sweep;

static const sweep sweeps[] = {
    {"exp", exp, -200, 200, 1},
    {"exp of bounded", exp, -200, 80, 1},
    {"log", log, 0x1p-126, FLT_MAX, 0.82},
    {"log1p", log1p, 0, 1, 1.95},
    {"sigmoid", sigmoid, -200, 200, 2.68},
    {"tanh", tanh, -100, 100, 2},
    {"normal", normal, -20, 20, 5.6},
    {"sigmoid'", sigmoid_slope, -200, 200, 4.8},
    {"tanh'", tanh_slope, -43, 43, 4.8},  // Further out e^(-2|x|) is already 0.
    {"density", density, -20, 20, 2.7},
};

static double ulp(double x) {
    const double size = fabs(x) < FLT_MIN ? FLT_MIN : fabs(x);
    return ldexp(1, ilogb(size) - 23);
}

static void check_sweep(int function, uint32_t step) {
    const sweep *s = &sweeps[function];
    double worst = 0;
    float worst_at = 0;
    bool wrong_range = false;
    for (uint64_t bits = 0; bits <= UINT32_MAX;) {
        float x[16], y[16];
        size_t count = 0;
        for (; count < 16 && bits <= UINT32_MAX; bits += step) {
            const uint32_t word = (uint32_t)bits;
            float value;
            memcpy(&value, &word, sizeof value);
            if (!(value >= s->low && value <= s->high)) continue;
            if (value != 0 && fabsf(value) < FLT_MIN) continue;  // Flushed while tiles run.
            x[count++] = value;
        }
        for (size_t i = count; i < 16; i++) x[i] = 0.5f;
        apply(function, x, y);
        for (size_t i = 0; i < count; i++) {
            const double expected = s->exact((double)x[i]);
            if (fabs(expected) < FLT_MIN) {
                wrong_range = wrong_range || !(fabsf(y[i]) <= FLT_MIN);
            } else if (expected > FLT_MAX * (1 + 0x1p-24)) {
                wrong_range = wrong_range || !(y[i] == INFINITY);
            } else {
                const double error = fabs((double)y[i] - expected) / ulp(expected);
                if (!(error <= worst)) worst = error, worst_at = x[i];
            }
        }
    }
    printf("%-15s %.3f ulp at %a\n", s->name, worst, (double)worst_at);
    check(worst <= s->bound, "%s is off by %g ulp at %a", s->name, worst, (double)worst_at);
    check(!wrong_range, "%s: wrong overflow or underflow", s->name);
}

static void check_special(int function, float x, float expected) {
    float in[16], out[16];
    for (size_t i = 0; i < 16; i++) in[i] = x;
    apply(function, in, out);
    for (size_t i = 0; i < 16; i++)
        check(same_float(out[i], expected), "%s(%g) is %g, not %g", sweeps[function].name,
              (double)x, (double)out[i], (double)expected);
}

static void check_specials(void) {
    const float at_infinity[10][2] = {{INFINITY, 0}, {NAN, 0}, {INFINITY, NAN}, {NAN, NAN},
                                      {1, 0},        {1, -1},  {1, 0},          {0, 0},
                                      {0, 0},        {0, 0}};
    for (int f = 0; f < 10; f++) {
        check_special(f, NAN, NAN);
        if (f != 1 && f != 3) check_special(f, INFINITY, at_infinity[f][0]);
        if (f != 3 && f != 9) check_special(f, -INFINITY, at_infinity[f][1]);
    }
    check_special(0, 0, 1);
    check_special(2, 0, -INFINITY);
    check_special(2, -1, NAN);
    check_special(2, 1, 0);
    check_special(5, -0.0f, -0.0f);
    check_special(6, 0, 0.5f);
}

static void check_relative(double found, double expected, double bound, const char *what) {
    check(fabs(found - expected) <= bound * fabs(expected), "%s: %.17g, not %.17g", what, found,
          expected);
}

/// Double functions against libm, whose own error is below 1e-15 of the result as well.
static void check_double(void) {
    for (size_t i = 0; i < 200000; i++) {
        const double angle = ldexp((double)random_word(), -64) * (i % 2 ? 1e6 : 10);
        double s, c, rest;
        cairn_sincos_double(angle, &s, &c);
        check_relative(s, sin(angle), 1e-15, "sin");
        check_relative(c, cos(angle), 1e-15, "cos");
        check_relative(cairn_exp_double(angle / 2e4, 0), exp(angle / 2e4), 1e-15, "exp");
        const double x = ldexp(0.5 + ldexp((double)random_word(), -65), (int)random_below(60) - 30);
        const double logarithm = cairn_log_double(x, &rest);
        check_relative(logarithm + rest, log(x), 1e-15, "log");
        const double y = ldexp((double)random_word(), -63) - 1;
        check_relative(cairn_power(x, y), pow(x, y), 1e-15, "power");
    }
    check(cairn_power(10000, 0) == 1 && cairn_power(1, -0.5) == 1, "a power that is 1");
    check_relative(cairn_power(1000000, -0.25), 1 / sqrt(1000), 1e-15, "1e6^(-1/4)");
}

static void check_rope_table(void) {
    enum { POSITIONS = 300, HALF = 32 };
    double frequencies[HALF];
    static float cosine[POSITIONS * HALF], sine[POSITIONS * HALF];
    for (size_t j = 0; j < HALF; j++)
        frequencies[j] = cairn_power(1e6, -(double)j / HALF);
    cairn_rope_table(POSITIONS, HALF, frequencies, cosine, sine);
    for (size_t p = 0; p < POSITIONS; p++)
        for (size_t j = 0; j < HALF; j++) {
            const double angle = (double)p * frequencies[j];
            // Half an ulp of a float, and a little for the double behind it.
            check(fabs((double)cosine[p * HALF + j] - cos(angle)) <= 0.5001 * ulp(cos(angle)),
                  "cosine of position %zu, frequency %zu", p, j);
            check(fabs((double)sine[p * HALF + j] - sin(angle)) <= 0.5001 * ulp(sin(angle)),
                  "sine of position %zu, frequency %zu", p, j);
        }
}

int main(int count, char **arguments) {
    const uint32_t step = count > 1 ? (uint32_t)atoi(arguments[1]) : 1021;
    bool runs = true;
#if defined(__x86_64__)
    runs = cairn_isa_is_supported(CAIRN_ISA_AVX2);
#endif
    for (int f = 0; runs && f < 10; f++) check_sweep(f, step);
    if (runs) check_specials();
    check_double();
    check_rope_table();
    return summary();
}
