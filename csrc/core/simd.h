// SPDX-License-Identifier: Apache-2.0
/// The 16-lane virtual vector that every kernel is written against.
///
/// One zmm, two ymm, four NEON registers or 16 scalars: the compiler lowers the same expression to
/// whatever instruction set the enclosing `#pragma clang attribute push(target(...))` names. Every
/// lane operation is an IEEE operation rounded once, so all builds give the same bits; multiply-add
/// is always fused, and the only sum over lanes is the fixed tree of `v16_sum`.
///
/// Included once by each `core/build_*.c`, inside that build's target attribute.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF

// Vectors pass between functions only where these are inlined, so there is no ABI to change.
#pragma clang diagnostic ignored "-Wpsabi"

#define CAIRN_INLINE static inline __attribute__((always_inline, unused))

enum { LANES = 16 };

typedef float v16 __attribute__((ext_vector_type(16)));
typedef int32_t v16i __attribute__((ext_vector_type(16)));
typedef float v16_unaligned __attribute__((ext_vector_type(16), aligned(4)));
typedef float v16_anywhere __attribute__((ext_vector_type(16), aligned(1)));

CAIRN_INLINE v16 v16_set(float x) { return (v16)(x); }
CAIRN_INLINE v16 v16_zero(void) { return (v16)(0.0f); }
CAIRN_INLINE v16 v16_load(const float *p) { return *(const v16_unaligned *)p; }
/// 64 bytes as they lie, as of bf16 numbers that may begin at any even address.
CAIRN_INLINE v16 v16_load_bytes(const void *p) { return *(const v16_anywhere *)p; }
CAIRN_INLINE void v16_store(float *p, v16 x) { *(v16_unaligned *)p = x; }

/// The first `count` lanes from memory, the others 0. count < 16.
CAIRN_INLINE v16 v16_load_first(const float *p, size_t count) {
    float lanes[LANES] = {0};
    memcpy(lanes, p, count * sizeof(float));
    return v16_load(lanes);
}

/// Writes the first `count` lanes only.
CAIRN_INLINE void v16_store_first(float *p, v16 x, size_t count) {
    float lanes[LANES];
    v16_store(lanes, x);
    memcpy(p, lanes, count * sizeof(float));
}

/// a * b + c, rounded once.
CAIRN_INLINE v16 v16_fma(v16 a, v16 b, v16 c) { return __builtin_elementwise_fma(a, b, c); }
CAIRN_INLINE v16 v16_sqrt(v16 x) { return __builtin_elementwise_sqrt(x); }
CAIRN_INLINE v16 v16_abs(v16 x) { return __builtin_elementwise_abs(x); }

/// Lane by lane: where `mask` (0 or -1) is set a, elsewhere b. Comparisons give such masks.
CAIRN_INLINE v16 v16_select(v16i mask, v16 a, v16 b) {
    return mask ? a : b;
}

/// The larger of two; b when either is NaN.
CAIRN_INLINE v16 v16_max(v16 a, v16 b) { return v16_select(a > b, a, b); }

/// The sum of the lanes: halves are added until one is left.
CAIRN_INLINE float v16_sum(v16 x) {
    float lanes[LANES];
    v16_store(lanes, x);
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

/// Each as `v16_sum` of one of sixteen vectors: every step adds the halves of what is left of two.
CAIRN_INLINE v16 v16_sums(const v16 x[LANES]) {
    v16 a[8], b[4], c[2];
    for (size_t i = 0; i < 8; i++) {
        const v16 y = x[2 * i], z = x[2 * i + 1];
        a[i] = __builtin_shufflevector(y, z, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
            + __builtin_shufflevector(y, z, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29,
                                      30, 31);
    }
    for (size_t i = 0; i < 4; i++) {
        const v16 y = a[2 * i], z = a[2 * i + 1];
        b[i] = __builtin_shufflevector(y, z, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26,
                                       27)
            + __builtin_shufflevector(y, z, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30,
                                      31);
    }
    for (size_t i = 0; i < 2; i++) {
        const v16 y = b[2 * i], z = b[2 * i + 1];
        c[i] = __builtin_shufflevector(y, z, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28,
                                       29)
            + __builtin_shufflevector(y, z, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30,
                                      31);
    }
    return __builtin_shufflevector(c[0], c[1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26,
                                   28, 30)
        + __builtin_shufflevector(c[0], c[1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29,
                                  31);
}

/// fma on single numbers.
CAIRN_INLINE float fma1(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

/// A bf16 number per lane, widened: its bits are the upper half of the fp32 number's.
CAIRN_INLINE v16 v16_from_bf16(v16i bits) { return (v16)(bits << 16); }

/// An fp16 number per lane, widened with integer operations, which flush no denormal.
///
/// Exponent and mantissa move to their places and the exponent is rebiased by 112. A denormal is
/// mantissa * 2^-24 = (2^-14 with that mantissa) - 2^-14, a difference of normal numbers. A NaN
/// becomes a quiet one, as the instruction has it.
CAIRN_INLINE v16 v16_from_f16(v16i bits) {
    const v16i magnitude = (bits & 0x7fff) << 13, exponent = bits & 0x7c00;
    const v16i normal = magnitude + (112 << 23), special = magnitude + (224 << 23);
    const v16i least = (v16i)(113 << 23);
    const v16i small = (v16i)((v16)(magnitude + least) - (v16)least);
    const v16i is_small = exponent == 0, is_special = exponent == 0x7c00;
    const v16i quiet = (magnitude > (0x7c00 << 13)) & 0x00400000;
    const v16i finite = (is_small & small) | (~is_small & normal);
    const v16i widened = (is_special & (special | quiet)) | (~is_special & finite);
    return (v16)(widened | ((bits & 0x8000) << 16));
}

/// Sixteen 16-bit words, zero-extended.
CAIRN_INLINE v16i v16i_load_u16(const uint16_t *p) {
    typedef uint16_t words __attribute__((ext_vector_type(16)));
    typedef uint16_t words_unaligned __attribute__((ext_vector_type(16), aligned(2)));
    return __builtin_convertvector((words)*(const words_unaligned *)p, v16i);
}

#include "quantized/quantized_load.h"

/// Elements index ..< index + 16 of weights stored as `dtype`, widened to fp32: exact but for those
/// in 8 and 4 bits, which are rounded as their types say. The elements lie in one row.
CAIRN_INLINE v16 v16_load_as(const void *p, cairn_dtype dtype, size_t index) {
    if (dtype == CAIRN_DTYPE_F32) return v16_load((const float *)p + index);
    if (dtype == CAIRN_DTYPE_I8) return int8_load((const cairn_int8 *)p, index, LANES);
    if (dtype == CAIRN_DTYPE_NF4) return nf4_load((const cairn_nf4 *)p, index, LANES);
#if defined(CAIRN_BUILD_AVX512)
    if (dtype == CAIRN_DTYPE_F16)
        return (v16)_mm512_cvtph_ps(
            _mm256_loadu_si256((const __m256i *)((const uint16_t *)p + index)));
#endif
    const v16i bits = v16i_load_u16((const uint16_t *)p + index);
    return dtype == CAIRN_DTYPE_BF16 ? v16_from_bf16(bits) : v16_from_f16(bits);
}

/// As `v16_load_as`, the first `count` lanes only, the others 0. count < 16.
CAIRN_INLINE v16 v16_load_first_as(const void *p, cairn_dtype dtype, size_t index, size_t count) {
    if (dtype == CAIRN_DTYPE_F32) return v16_load_first((const float *)p + index, count);
    if (dtype == CAIRN_DTYPE_I8) return int8_load((const cairn_int8 *)p, index, count);
    if (dtype == CAIRN_DTYPE_NF4) return nf4_load((const cairn_nf4 *)p, index, count);
    uint16_t words[LANES] = {0};
    memcpy(words, (const uint16_t *)p + index, count * sizeof(uint16_t));
    return v16_load_as(words, dtype, 0);
}

/// Rounds to bf16, nearest even, and widens again; NaN stays NaN.
///
/// Adding 0x7fff plus the last kept bit carries into the upper half exactly when that rounds up.
CAIRN_INLINE v16 v16_round_bf16(v16 x) {
    const v16i bits = (v16i)x;
    const v16i rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & (int32_t)0xffff0000;
    return v16_select(x == x, (v16)rounded, x);
}
