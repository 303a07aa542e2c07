// SPDX-License-Identifier: Apache-2.0
/// Elements of weights in 8 and 4 bits, widened to fp32.

/// The 16 values of NF4: quantiles of a normal distribution, scaled to [-1, 1]; exactly 0 among them.
/// Source: Dettmers et al. 2023 (arXiv:2305.14314), appendix E.
static const float nf4_table[16] __attribute__((aligned(64))) = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/// nf4_table[index], lane by lane.
CAIRN_INLINE v16 nf4_look_up(v16i index) {
#if defined(CAIRN_BUILD_AVX512)
    return (v16)_mm512_permutexvar_ps((__m512i)index, _mm512_load_ps(nf4_table));
#elif defined(CAIRN_BUILD_AVX2)
    typedef int32_t v8i __attribute__((ext_vector_type(8)));
    const __m256 low = _mm256_load_ps(nf4_table), high = _mm256_load_ps(nf4_table + 8);
    v16 result;
#pragma clang loop unroll(full)
    for (size_t half = 0; half < 2; half++) {
        v8i part;
        memcpy(&part, (const char *)&index + half * sizeof part, sizeof part);
        const __m256i places = (__m256i)part;
        const __m256 values = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, places),
                                               _mm256_permutevar8x32_ps(high, places),
                                               _mm256_castsi256_ps(_mm256_slli_epi32(places, 28)));
        memcpy((char *)&result + half * sizeof values, &values, sizeof values);
    }
    return result;
#else
    v16 result;
    for (size_t i = 0; i < LANES; i++) result[i] = nf4_table[index[i]];
    return result;
#endif
}

/// The scale of a block.
CAIRN_INLINE float nf4_scale(const cairn_nf4 *w, size_t block) {
    const float *group = w->groups + block / CAIRN_NF4_GROUP * 2;
    return fma1(w->scales[block], group[1], group[0]);
}

/// Elements index ..< index + count, at most 16; the other lanes 0.
CAIRN_INLINE v16 nf4_load(const cairn_nf4 *w, size_t index, size_t count) {
    if (__builtin_expect(index % LANES == 0 && count >= LANES, 1)) {
        typedef uint8_t bytes __attribute__((ext_vector_type(8)));
        bytes pairs;
        memcpy(&pairs, w->codes + index / 2, sizeof pairs);
        const v16i codes = __builtin_convertvector(
            __builtin_shufflevector(pairs >> 4, pairs & 15, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13,
                                    6, 14, 7, 15),
            v16i);
        return nf4_look_up(codes) * v16_set(nf4_scale(w, index / CAIRN_NF4_BLOCK));
    }
    v16 result = v16_zero();
    for (size_t i = 0; i < LANES && i < count; i++) {
        const size_t e = index + i;
        const uint8_t pair = w->codes[e / 2];
        result[i] = nf4_table[e % 2 ? pair & 15 : pair >> 4] * nf4_scale(w, e / CAIRN_NF4_BLOCK);
    }
    return result;
}

/// The same of codes in 8 bits.
CAIRN_INLINE v16 int8_load(const cairn_int8 *w, size_t index, size_t count) {
    typedef int8_t bytes __attribute__((ext_vector_type(16)));
    const size_t row = index / w->columns, column = index - row * w->columns;
    const size_t left = w->columns - column;
    // A row has room for whole vectors, and zeros behind its end.
    if (__builtin_expect(column % LANES == 0 && (left >= LANES || left >= count), 1)) {
        bytes codes;
        memcpy(&codes, w->codes + row * w->stride + column, sizeof codes);
        return __builtin_convertvector(codes, v16) * v16_set(w->scales[row]);
    }
    v16 result = v16_zero();
    for (size_t i = 0; i < LANES && i < count; i++) {
        const size_t r = (index + i) / w->columns;
        result[i] = (float)w->codes[r * w->stride + index + i - r * w->columns] * w->scales[r];
    }
    return result;
}
