// SPDX-License-Identifier: Apache-2.0
/// Pairs of bf16 numbers: two neighbours along k in one 32-bit word, the even one in the low half.
///
/// A word takes half the memory of two fp32 numbers, and AVX512-BF16 multiplies and adds sixteen
/// of them in one instruction. Its bits are those of two fused multiply-adds, the odd number first,
/// with denormals flushed: the order that every build keeps. What is written here without
/// intrinsics is the definition; the instructions are used where a self-test finds them equal.
/// CAIRN_TEST_PAIRS gives every build pairs, to test them without the instructions.

#if defined(CAIRN_BUILD_AVX512BF16) || defined(CAIRN_TEST_PAIRS)
enum { HAS_PAIRS = 1 };
#else
enum { HAS_PAIRS = 0 };
#endif

/// The upper halves of two vectors of numbers that are rounded: word i is (even[i], odd[i]).
CAIRN_INLINE v16 join_halves(v16 even, v16 odd) {
    typedef uint32_t words __attribute__((ext_vector_type(16)));
    return (v16)(((words)even >> 16) | ((words)odd & 0xffff0000));
}

/// Rounds to bf16, nearest even; a NaN keeps a bit in the upper half.
CAIRN_INLINE v16 round_to_half(v16 x) {
    return v16_select(x == x, v16_round_bf16(x), (v16)((v16i)x | 0x00400000));
}

CAIRN_INLINE v16 pairs_of_rows_defined(v16 even, v16 odd) {
    return join_halves(round_to_half(even), round_to_half(odd));
}

CAIRN_INLINE v16 pairs_of_line_defined(v16 first, v16 second) {
    return pairs_of_rows_defined(
        __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                30),
        __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29,
                                31));
}

CAIRN_INLINE v16 multiply_add_pairs_defined(v16 a, v16 b, v16 sum) {
    const v16i upper = (v16i)((int32_t)0xffff0000);
    sum = v16_fma((v16)((v16i)a & upper), (v16)((v16i)b & upper), sum);
    return v16_fma((v16)((v16i)a << 16), (v16)((v16i)b << 16), sum);
}

#if defined(CAIRN_BUILD_AVX512BF16)

/// Whether a number of either vector is a denormal that rounds to the least normal number; the
/// conversion of AVX512-BF16 takes every denormal for zero.
CAIRN_INLINE bool has_rounded_up_denormal(v16 a, v16 b) {
    typedef uint32_t words __attribute__((ext_vector_type(16)));
    // Twice the bits drops the sign: 0xff0000 ..< 0x1000000 are those denormals.
    const words x = ((words)a << 1) - 0xff0000, y = ((words)b << 1) - 0xff0000;
    const words least = __builtin_elementwise_min(x, y);
    return _mm512_cmplt_epu32_mask((__m512i)least, _mm512_set1_epi32(0x10000)) != 0;
}

/// Word i is (even[i], odd[i]), rounded.
CAIRN_INLINE v16 pairs_of_rows(v16 even, v16 odd) {
    if (__builtin_expect(has_rounded_up_denormal(even, odd), 0))
        return pairs_of_rows_defined(even, odd);
    typedef uint16_t halves __attribute__((ext_vector_type(32)));
    const halves x = (halves)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
    return (v16)__builtin_shufflevector(x, x, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
                                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                        31);
}

/// The pairs of 32 numbers in a line, rounded.
CAIRN_INLINE v16 pairs_of_line(v16 first, v16 second) {
    if (__builtin_expect(has_rounded_up_denormal(first, second), 0))
        return pairs_of_line_defined(first, second);
    return (v16)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}

/// sum + a_odd b_odd, then + a_even b_even, each fused.
CAIRN_INLINE v16 multiply_add_pairs(v16 a, v16 b, v16 sum) {
    return (v16)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

#else

CAIRN_INLINE v16 pairs_of_rows(v16 even, v16 odd) { return pairs_of_rows_defined(even, odd); }

CAIRN_INLINE v16 pairs_of_line(v16 first, v16 second) {
    return pairs_of_line_defined(first, second);
}

CAIRN_INLINE v16 multiply_add_pairs(v16 a, v16 b, v16 sum) {
    return multiply_add_pairs_defined(a, b, sum);
}

#endif
