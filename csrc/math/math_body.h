// SPDX-License-Identifier: Apache-2.0
/// Functions on 16 lanes: exponential, logarithm, sigmoid, tanh and the normal distribution.
///
/// Polynomials are minimax fits (Remez) of this project. Largest errors over every 61st float of
/// the range, in ulp of the true value (Tests/C/test_ops_math.c): exp 1.00, log 0.82, log1p 1.95,
/// sigmoid 2.68, tanh 2.00, normal distribution 5.6 (3.4e-7 of the value); derivatives: sigmoid
/// 4.8, tanh 4.8, normal density 2.7. Results below 2^-126 are 0.

#ifndef CAIRN_MATH_BODY_H
#define CAIRN_MATH_BODY_H

/// A vector from 16 elements, or from the `count` that are left with zeros behind them.
CAIRN_INLINE v16 v16_load_some(const float *p, size_t count) {
    return count >= LANES ? v16_load(p) : v16_load_first(p, count);
}

CAIRN_INLINE void v16_store_some(float *p, v16 x, size_t count) {
    if (count >= LANES) {
        v16_store(p, x);
    } else {
        v16_store_first(p, x, count);
    }
}

/// Keeps the first `count` lanes and puts `fill` in the others.
CAIRN_INLINE v16 v16_fill_after(v16 x, size_t count, float fill) {
    const v16i index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return count >= LANES ? x : v16_select(index < (v16i)((int32_t)count), x, v16_set(fill));
}

/// The largest lane; some number when a lane is NaN.
CAIRN_INLINE float v16_largest(v16 x) {
    float lanes[LANES];
    v16_store(lanes, x);
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
    return lanes[0];
}

/// Sixteen stored weights from element `index` on, widened; the first `count` of them.
CAIRN_INLINE v16 v16_load_weights(const void *weights, cairn_dtype dtype, size_t index,
                                  size_t count) {
    return count >= LANES ? v16_load_as(weights, dtype, index)
                          : v16_load_first_as(weights, dtype, index, count);
}

/// n = round(x / ln 2), and a polynomial for e^(x - n ln 2); the bits of *n hold n below 2^22.
CAIRN_INLINE v16 exp_reduced(v16 x, v16i *n) {
    const v16 magic = v16_set(0x1.8p23f);
    const v16 shifted = v16_fma(x, v16_set(0x1.715476p0f), magic);
    const v16 rounded = shifted - magic;
    v16 r = v16_fma(rounded, v16_set(-0x1.62e4p-1f), x);
    r = v16_fma(rounded, v16_set(-0x1.7f7d1cp-20f), r);
    v16 q = v16_set(1.381450333e-03f);
    q = v16_fma(q, r, v16_set(8.368773386e-03f));
    q = v16_fma(q, r, v16_set(4.166839272e-02f));
    q = v16_fma(q, r, v16_set(1.666651964e-01f));
    q = v16_fma(q, r, v16_set(4.999999404e-01f));
    *n = (v16i)shifted - (v16i)magic;
    return v16_fma(r * r, q, r) + v16_set(1);
}

/// exp(x) for x <= 80: what is left once a maximum was subtracted.
CAIRN_INLINE v16 v16_exp_bounded(v16 x) {
    const v16 lowest = v16_set(-87.3365402f);  // exp of the next float below is under 2^-126.
    const v16i below = x < lowest;
    v16i n;
    const v16 p = exp_reduced(v16_select(below, lowest, x), &n);
    return (v16)(~below & (v16i)(p * (v16)((n + 127) << 23)));
}

/// exp(x); Inf above the range of a float.
CAIRN_INLINE v16 v16_exp(v16 x) {
    const v16 highest = v16_set(88.72283f);
    const v16i above = x > highest, below = x < v16_set(-87.3365402f);
    v16i n;
    v16 p = exp_reduced(v16_select(above | below, v16_zero(), x), &n);
    const v16i half = n >> 1;
    p = p * (v16)((half + 127) << 23) * (v16)((n - half + 127) << 23);
    return v16_select(above, v16_set(__builtin_inff()), (v16)(~below & (v16i)p));
}

/// log(x); -Inf for 0 and for denormals, NaN for negative numbers.
CAIRN_INLINE v16 v16_log(v16 x) {
    const v16i bits = (v16i)x, e = (bits - 0x3f3504f3) >> 23;
    const v16 f = (v16)(bits - (e << 23)) - v16_set(1);
    v16 q = v16_set(6.928375363e-02f);
    q = v16_fma(q, f, v16_set(-1.180753931e-01f));
    q = v16_fma(q, f, v16_set(1.187651455e-01f));
    q = v16_fma(q, f, v16_set(-1.238178015e-01f));
    q = v16_fma(q, f, v16_set(1.421792656e-01f));
    q = v16_fma(q, f, v16_set(-1.666936427e-01f));
    q = v16_fma(q, f, v16_set(2.000226080e-01f));
    q = v16_fma(q, f, v16_set(-2.499998510e-01f));
    q = v16_fma(q, f, v16_set(3.333331048e-01f));
    const v16 exponent = __builtin_convertvector(e, v16);
    v16 low = v16_fma(f * f * f, q, exponent * v16_set(0x1.7f7d1cp-20f));
    low = v16_fma(f * f, v16_set(-0.5f), low);
    v16 y = v16_fma(exponent, v16_set(0x1.62e4p-1f), f + low);
    const v16 infinity = v16_set(__builtin_inff());
    y = v16_select(x < v16_set(0x1p-126f), -infinity, y);
    y = v16_select(x < v16_zero(), v16_set(__builtin_nanf("")), y);
    y = v16_select(x == infinity, infinity, y);
    return v16_select(x == x, y, x);
}

/// log(1 + x) for 0 <= x <= 1: 2 atanh(s), s = x / (2 + x).
CAIRN_INLINE v16 v16_log1p_unit(v16 x) {
    const v16 s = x / (v16_set(2) + x), z = s * s, s2 = s + s;
    v16 q = v16_set(1.212873980e-01f);
    q = v16_fma(q, z, v16_set(1.072009355e-01f));
    q = v16_fma(q, z, v16_set(1.430780590e-01f));
    q = v16_fma(q, z, v16_set(1.999946535e-01f));
    q = v16_fma(q, z, v16_set(3.333333731e-01f));
    return v16_fma(s2 * z, q, s2);
}

/// 1 / (1 + exp(-x)); *slope is its derivative e / (1 + e)^2, e = exp(-|x|).
CAIRN_INLINE v16 v16_sigmoid(v16 x, v16 *slope) {
    const v16 e = v16_exp_bounded(-v16_abs(x));
    const v16 inverse = v16_set(1) / (v16_set(1) + e), small = e * inverse;
    *slope = small * inverse;
    return v16_select(x < v16_zero(), small, inverse);
}

/// tanh(x); *slope is its derivative 1 - tanh^2 = 4 e / (1 + e)^2, e = exp(-2|x|).
CAIRN_INLINE v16 v16_tanh(v16 x, v16 *slope) {
    const v16 a = v16_abs(x), e = v16_exp_bounded(a * v16_set(-2)), z = x * x;
    const v16 inverse = v16_set(1) / (v16_set(1) + e), large = (v16_set(1) - e) * inverse;
    v16 q = v16_set(2.149678068e-03f);
    q = v16_fma(q, z, v16_set(-8.185274899e-03f));
    q = v16_fma(q, z, v16_set(2.170415968e-02f));
    q = v16_fma(q, z, v16_set(-5.394745991e-02f));
    q = v16_fma(q, z, v16_set(1.333321184e-01f));
    q = v16_fma(q, z, v16_set(-3.333333135e-01f));
    *slope = v16_set(4) * e * inverse * inverse;
    const v16i sign = (v16i)x & INT32_MIN;
    const v16 y = v16_select(a < v16_set(0.625f), v16_fma(z * q, a, a), large);
    return (v16)((v16i)y | sign);
}

/// P(Z <= x) of the standard normal distribution; *density is exp(-x^2 / 2) / sqrt(2 pi).
///
/// P(Z > a) = exp(-a^2/2) G(t) / (a + 4), t = (a - 4) / (a + 4): one polynomial for a in [0, 15].
CAIRN_INLINE v16 v16_normal(v16 x, v16 *density) {
    const v16 a = v16_abs(x), limit = v16_set(15), c = v16_select(a > limit, limit, a);
    const v16 square = c * c, rest = v16_fma(c, c, -square);
    v16 e = v16_exp_bounded(square * v16_set(-0.5f));
    e = v16_fma(e, rest * v16_set(-0.5f), e);
    const v16 u = v16_set(1) / (c + v16_set(4)), t = (c - v16_set(4)) * u;
    v16 g = v16_set(-1.341965544e-04f);
    g = v16_fma(g, t, v16_set(1.746590569e-04f));
    g = v16_fma(g, t, v16_set(1.568408567e-03f));
    g = v16_fma(g, t, v16_set(-3.510210663e-03f));
    g = v16_fma(g, t, v16_set(-7.524004672e-03f));
    g = v16_fma(g, t, v16_set(6.040348858e-02f));
    g = v16_fma(g, t, v16_set(-1.865236610e-01f));
    g = v16_fma(g, t, v16_set(3.871369064e-01f));
    g = v16_fma(g, t, v16_set(-6.078965664e-01f));
    g = v16_fma(g, t, v16_set(7.552851439e-01f));
    const v16 tail = e * (g * u);
    *density = e * v16_set(0.398942280f);
    return v16_select(x < v16_zero(), tail, v16_set(1) - tail);
}

#endif
