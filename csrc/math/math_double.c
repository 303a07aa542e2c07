// SPDX-License-Identifier: Apache-2.0
/// Double-precision functions for tables that are made once: Taylor series after range reduction.

#include "math/math_double.h"

#include "cairn_attention.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF

static double from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint64_t to_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/// The nearest integer of |x| < 2^51.
static double nearest(double x) {
    const double magic = 0x1.8p52;
    return (x + magic) - magic;
}

// ln 2 = high + low; high has 20 zeros at its end, so that its multiples are exact.
static const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;

double cairn_exp_double(double x, double tail) {
    if (!(x <= 709.0)) return x != x ? x : __builtin_inf();
    if (x < -708.0) return 0;
    const double n = nearest(x * 0x1.71547652b82fep0);
    const double r = __builtin_fma(-n, ln2_low, __builtin_fma(-n, ln2_high, x)) + tail;
    double sum = 1;  // Horner: 1 + r/1 (1 + r/2 (1 + ... r/16)); 0.35^17 / 17! < 1e-22.
    for (int k = 16; k >= 2; k--) sum = __builtin_fma(r / k, sum, 1.0);
    return __builtin_fma(r, sum, 1.0) * from_bits((uint64_t)(1023 + (int64_t)n) << 52);
}

double cairn_log_double(double x, double *rest) {
    // x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m - 1) / (m + 1).
    int64_t e = (int64_t)(to_bits(x) >> 52) - 1023;
    double m = from_bits((to_bits(x) & 0xfffffffffffffu) | 0x3ff0000000000000u);
    if (m >= 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        e += 1;
    }
    const double f = m - 1, sum = m + 1, sum_rest = m - (sum - 1);  // All exact together.
    const double s = f / sum;
    const double s_rest = (__builtin_fma(-s, sum, f) - s * sum_rest) / sum;
    const double z = s * s;
    double series = 0;  // s^2/3 + s^4/5 + ...; the first term left out is below 1e-19.
    for (int k = 23; k >= 3; k -= 2) series = z * (1.0 / k + series);
    const double high = (double)e * ln2_high, small = 2 * s;
    const double total = high + small;
    const double lost = e == 0 ? 0 : small - (total - high);  // |high| > |small| unless e is 0.
    *rest = lost + (2 * (s_rest + s * series) + (double)e * ln2_low);
    return total;
}

void cairn_sincos_double(double angle, double *sine, double *cosine) {
    // r + low = angle - n pi/2; the first step is exact, for the last bit of pi/2 is 2^-52.
    const double n = nearest(angle * 0x1.45f306dc9c883p-1);
    const double first = __builtin_fma(-n, 0x1.921fb54442d18p0, angle);
    const double second = n * 0x1.1a62633145c07p-54;
    const double r = first - second, low = (first - r) - second;
    const double z = r * r;
    double s = 1, c = 1;
    for (int k = 19; k >= 3; k -= 2) s = __builtin_fma(-z / (k * (k - 1)), s, 1.0);
    for (int k = 20; k >= 2; k -= 2) c = __builtin_fma(-z / (k * (k - 1)), c, 1.0);
    s *= r;
    const double sin_r = __builtin_fma(low, c, s), cos_r = __builtin_fma(-low, s, c);
    const uint64_t quadrant = (uint64_t)(int64_t)n & 3;
    const double a = quadrant & 1 ? cos_r : sin_r, b = quadrant & 1 ? sin_r : cos_r;
    *sine = quadrant & 2 ? -a : a;
    *cosine = quadrant == 1 || quadrant == 2 ? -b : b;
}

double cairn_power(double base, double exponent) {
    double rest;
    const double logarithm = cairn_log_double(base, &rest);
    const double product = exponent * logarithm;
    const double product_rest = __builtin_fma(exponent, logarithm, -product) + exponent * rest;
    return cairn_exp_double(product, product_rest);
}

void cairn_rope_table(size_t positions, size_t half, const double *frequencies, float *cosine,
                      float *sine) {
    for (size_t p = 0; p < positions; p++)
        for (size_t j = 0; j < half; j++) {
            double s, c;
            cairn_sincos_double((double)p * frequencies[j], &s, &c);
            cosine[p * half + j] = (float)c;
            sine[p * half + j] = (float)s;
        }
}
