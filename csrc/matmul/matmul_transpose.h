// SPDX-License-Identifier: Apache-2.0
/// 16 lines of 16 words become 16 columns.

typedef float v4 __attribute__((ext_vector_type(4)));
// A word may be two bf16 numbers, which begin at any even address.
typedef float v4_anywhere __attribute__((ext_vector_type(4), aligned(1)));
typedef float v8 __attribute__((ext_vector_type(8)));

CAIRN_INLINE v4 load_four(const char *p) { return *(const v4_anywhere *)p; }

/// Four words of each of the lines c, c + 4, c + 8, c + 12.
CAIRN_INLINE v16 load_fours(const char *lines, size_t stride, size_t c) {
    const v4 x0 = load_four(lines + c * stride), x1 = load_four(lines + (c + 4) * stride);
    const v4 x2 = load_four(lines + (c + 8) * stride), x3 = load_four(lines + (c + 12) * stride);
    const v8 low = __builtin_shufflevector(x0, x1, 0, 1, 2, 3, 4, 5, 6, 7);
    const v8 high = __builtin_shufflevector(x2, x3, 0, 1, 2, 3, 4, 5, 6, 7);
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/// Four words of each of 16 lines, which are `stride` bytes apart: word p of line c goes to
/// `columns[p * NR + c]`, for the first `count` of the four.
///
/// Gathering fours from memory leaves two steps of a transpose of 4 x 4 blocks, where whole lines
/// would need four steps; the shuffles are what bounds this.
CAIRN_INLINE void store_four_transposed(const char *lines, size_t stride, float *columns,
                                        size_t count) {
    const v16 x0 = load_fours(lines, stride, 0), x1 = load_fours(lines, stride, 1);
    const v16 x2 = load_fours(lines, stride, 2), x3 = load_fours(lines, stride, 3);
#define LOW(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH(a, b) \
    __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define EVEN(a, b) \
    __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define ODD(a, b) \
    __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
    const v16 low01 = LOW(x0, x1), high01 = HIGH(x0, x1);
    const v16 low23 = LOW(x2, x3), high23 = HIGH(x2, x3);
    if (count > 0) v16_store(columns, EVEN(low01, low23));
    if (count > 1) v16_store(columns + NR, ODD(low01, low23));
    if (count > 2) v16_store(columns + 2 * NR, EVEN(high01, high23));
    if (count > 3) v16_store(columns + 3 * NR, ODD(high01, high23));
#undef LOW
#undef HIGH
#undef EVEN
#undef ODD
}

/// The same for the first `count` of 16 words of each line.
CAIRN_INLINE void store_transposed(const char *lines, size_t stride, float *columns, size_t count) {
    for (size_t p = 0; p < LANES && p < count; p += 4)
        store_four_transposed(lines + p * sizeof(float), stride, columns + p * NR, count - p);
}
