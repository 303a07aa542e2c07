// SPDX-License-Identifier: Apache-2.0
/// Functions of one number, as the CPU's kernels define them (math/math_body.h): the same
/// polynomials, the same fused multiply-adds, so that both engines round alike.

#ifndef CAIRN_CUDA_MATH_CUH
#define CAIRN_CUDA_MATH_CUH

#include "platform.h"

namespace cairn {

constexpr float INFINITE = __builtin_inff();

__device__ __forceinline__ float not_a_number() { return __int_as_float(0x7fc00000); }

/// n = round(x / ln 2), and a polynomial for e^(x - n ln 2).
__device__ __forceinline__ float exp_reduced(float x, int &n) {
    const float magic = 0x1.8p23f;
    const float shifted = fmaf(x, 0x1.715476p0f, magic), rounded = shifted - magic;
    float r = fmaf(rounded, -0x1.62e4p-1f, x);
    r = fmaf(rounded, -0x1.7f7d1cp-20f, r);
    float q = 1.381450333e-03f;
    q = fmaf(q, r, 8.368773386e-03f);
    q = fmaf(q, r, 4.166839272e-02f);
    q = fmaf(q, r, 1.666651964e-01f);
    q = fmaf(q, r, 4.999999404e-01f);
    n = __float_as_int(shifted) - __float_as_int(magic);
    return fmaf(r * r, q, r) + 1;
}

/// exp(x) for x <= 80: what is left once a maximum was subtracted. 0 below 2^-126.
__device__ __forceinline__ float exp_bounded(float x) {
    const float lowest = -87.3365402f;
    const bool below = x < lowest;
    int n;
    const float p = exp_reduced(below ? lowest : x, n);
    // The bits of a NaN's n are anything: unsigned, so that the shift may overflow.
    return below ? 0 : p * __uint_as_float(((unsigned)n + 127u) << 23);
}

/// log(x); -Inf for 0 and for denormals, NaN for negative numbers.
__device__ __forceinline__ float log_of(float x) {
    const unsigned bits = __float_as_uint(x);
    const int e = (int)(bits - 0x3f3504f3u) >> 23;
    const float f = __uint_as_float(bits - ((unsigned)e << 23)) - 1;
    float q = 6.928375363e-02f;
    q = fmaf(q, f, -1.180753931e-01f);
    q = fmaf(q, f, 1.187651455e-01f);
    q = fmaf(q, f, -1.238178015e-01f);
    q = fmaf(q, f, 1.421792656e-01f);
    q = fmaf(q, f, -1.666936427e-01f);
    q = fmaf(q, f, 2.000226080e-01f);
    q = fmaf(q, f, -2.499998510e-01f);
    q = fmaf(q, f, 3.333331048e-01f);
    const float exponent = (float)e;
    float low = fmaf(f * f * f, q, exponent * 0x1.7f7d1cp-20f);
    low = fmaf(f * f, -0.5f, low);
    float y = fmaf(exponent, 0x1.62e4p-1f, f + low);
    y = x < 0x1p-126f ? -INFINITE : y;
    y = x < 0 ? not_a_number() : y;
    y = x == INFINITE ? INFINITE : y;
    return x == x ? y : x;
}

/// log(1 + x) for 0 <= x <= 1.
__device__ __forceinline__ float log1p_unit(float x) {
    const float s = x / (2 + x), z = s * s, s2 = s + s;
    float q = 1.212873980e-01f;
    q = fmaf(q, z, 1.072009355e-01f);
    q = fmaf(q, z, 1.430780590e-01f);
    q = fmaf(q, z, 1.999946535e-01f);
    q = fmaf(q, z, 3.333333731e-01f);
    return fmaf(s2 * z, q, s2);
}

/// 1 / (1 + exp(-x)), and its derivative.
__device__ __forceinline__ float sigmoid(float x, float &slope) {
    const float e = exp_bounded(-fabsf(x));
    const float inverse = 1 / (1 + e), small = e * inverse;
    slope = small * inverse;
    return x < 0 ? small : inverse;
}

/// tanh(x), and its derivative.
__device__ __forceinline__ float tanh_of(float x, float &slope) {
    const float a = fabsf(x), e = exp_bounded(a * -2), z = x * x;
    const float inverse = 1 / (1 + e), large = (1 - e) * inverse;
    float q = 2.149678068e-03f;
    q = fmaf(q, z, -8.185274899e-03f);
    q = fmaf(q, z, 2.170415968e-02f);
    q = fmaf(q, z, -5.394745991e-02f);
    q = fmaf(q, z, 1.333321184e-01f);
    q = fmaf(q, z, -3.333333135e-01f);
    slope = 4 * e * inverse * inverse;
    const float y = a < 0.625f ? fmaf(z * q, a, a) : large;
    return __uint_as_float(__float_as_uint(y) | (__float_as_uint(x) & 0x80000000u));
}

/// P(Z <= x) of the standard normal distribution, and its density.
__device__ __forceinline__ float normal(float x, float &density) {
    const float a = fabsf(x), c = a > 15 ? 15 : a;
    const float square = c * c, rest = fmaf(c, c, -square);
    float e = exp_bounded(square * -0.5f);
    e = fmaf(e, rest * -0.5f, e);
    const float u = 1 / (c + 4), t = (c - 4) * u;
    float g = -1.341965544e-04f;
    g = fmaf(g, t, 1.746590569e-04f);
    g = fmaf(g, t, 1.568408567e-03f);
    g = fmaf(g, t, -3.510210663e-03f);
    g = fmaf(g, t, -7.524004672e-03f);
    g = fmaf(g, t, 6.040348858e-02f);
    g = fmaf(g, t, -1.865236610e-01f);
    g = fmaf(g, t, 3.871369064e-01f);
    g = fmaf(g, t, -6.078965664e-01f);
    g = fmaf(g, t, 7.552851439e-01f);
    const float tail = e * (g * u);
    density = e * 0.398942280f;
    return x < 0 ? tail : 1 - tail;
}

/// An fp16 number widened; exact.
///
/// Exponent and mantissa move to their places and the exponent is rebiased by 112. A denormal is
/// mantissa * 2^-24.
__device__ __forceinline__ float from_f16(unsigned bits) {
    const unsigned magnitude = (bits & 0x7fff) << 13, exponent = bits & 0x7c00;
    const float small = (float)(bits & 0x3ff) * 0x1p-24f;
    const unsigned special = magnitude + (224u << 23), normal = magnitude + (112u << 23);
    const unsigned widened = exponent == 0x7c00 ? special
                             : exponent == 0    ? __float_as_uint(small)
                                                : normal;
    return __uint_as_float(widened | ((bits & 0x8000) << 16));
}

/// Element `index` of weights stored as `dtype`, widened to fp32; exact.
__device__ __forceinline__ float load_weight(const void *weights, int dtype, size_t index) {
    if (dtype == CAIRN_DTYPE_F32) return ((const float *)weights)[index];
    const unsigned bits = ((const uint16_t *)weights)[index];
    return dtype == CAIRN_DTYPE_BF16 ? __uint_as_float(bits << 16) : from_f16(bits);
}

}  // namespace cairn

#endif
