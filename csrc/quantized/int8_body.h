// SPDX-License-Identifier: Apache-2.0
/// Products of 8-bit codes, written once; every build_*.c includes this file under its own target.
///
/// Sums of products of integers are exact, so they have the same bits in any order and with any
/// instruction: no test at the start has to find that out. What is rounded is written once, in
/// `int8_codes` and `int8_store`.
///
/// A word is what one instruction multiplies per lane: four codes with VNNI, which takes the left
/// ones without a sign, so that x is stored with 128 added and sums start at -128 times the sum of
/// the weight's codes; two codes in 16 bits elsewhere.

#if defined(CAIRN_BUILD_AVX512BF16)
enum { INT8_CODE_BYTES = 1 };
#else
enum { INT8_CODE_BYTES = 2 };
#endif

enum { INT8_WORD = 4 / INT8_CODE_BYTES };  // Codes in a word.

typedef int32_t int8_word __attribute__((may_alias));
typedef int32_t v16i_unaligned __attribute__((ext_vector_type(16), aligned(4)));
typedef uint32_t v16u __attribute__((ext_vector_type(16)));
typedef int8_t v16b __attribute__((ext_vector_type(16)));
typedef int16_t v16h __attribute__((ext_vector_type(16)));

CAIRN_INLINE v16i int8_load_words(const void *p) { return (v16i)v16_load_bytes(p); }

/// sum + the products of the codes in each lane's words.
CAIRN_INLINE v16i int8_multiply_add(v16i a, v16i b, v16i sum) {
#if defined(CAIRN_BUILD_AVX512BF16)
    return (v16i)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(CAIRN_BUILD_AVX512)
    return (v16i)_mm512_add_epi32((__m512i)sum, _mm512_madd_epi16((__m512i)a, (__m512i)b));
#elif defined(CAIRN_BUILD_AVX2)
    __m256i x[2], y[2], z[2];
    memcpy(x, &a, sizeof a);
    memcpy(y, &b, sizeof b);
    memcpy(z, &sum, sizeof sum);
    z[0] = _mm256_add_epi32(z[0], _mm256_madd_epi16(x[0], y[0]));
    z[1] = _mm256_add_epi32(z[1], _mm256_madd_epi16(x[1], y[1]));
    memcpy(&sum, z, sizeof sum);
    return sum;
#else
    return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

// MARK: Numbers to codes

/// What a row is divided by to become codes, and multiplied by to become numbers again.
typedef struct int8_factors {
    float inverse, scale;
} int8_factors;

/// A row of which the largest magnitude is below 2^-100 counts as zeros: 127 over it could overflow.
/// One with a number that is not finite has NaN for its scale.
CAIRN_INLINE int8_factors int8_factors_of(float largest, bool is_finite) {
    if (!is_finite) return (int8_factors){0, __builtin_nanf("")};
    if (!(largest >= 0x1p-100f)) return (int8_factors){0, 0};
    return (int8_factors){127 / largest, largest / 127};
}

CAIRN_INLINE bool v16i_is_set(v16i mask) {
    int32_t all = -1;
    for (size_t i = 0; i < LANES; i++) all &= mask[i];
    return all != 0;
}

/// The factors of `count` elements from `index` on.
CAIRN_INLINE int8_factors int8_factors_in(const void *x, cairn_dtype dtype, size_t index,
                                          size_t count) {
    v16 largest = v16_zero();
    v16i finite = (v16i)(-1);
    for (size_t i = 0; i < count; i += LANES) {
        const v16 magnitude = v16_abs(v16_load_weights(x, dtype, index + i, count - i));
        finite &= magnitude <= v16_set(3.40282347e38f);
        largest = v16_max(magnitude, largest);
    }
    return int8_factors_of(v16_largest(largest), v16i_is_set(finite));
}

/// x * inverse, rounded to an integer, nearest even: what is added leaves no bits below 1.
CAIRN_INLINE v16i int8_codes(v16 x, float inverse) {
    return (v16i)(x * v16_set(inverse) + v16_set(0x1.8p23f)) - (v16i)(0x4b400000);
}

CAIRN_INLINE void int8_store_codes(void *to, size_t index, v16i codes) {
#if defined(CAIRN_BUILD_AVX512BF16)
    const v16b bytes = __builtin_convertvector(codes ^ 0x80, v16b);
    memcpy((char *)to + index, &bytes, sizeof bytes);
#else
    const v16h halves = __builtin_convertvector(codes, v16h);
    memcpy((char *)to + 2 * index, &halves, sizeof halves);
#endif
}

static void int8_rows(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const cairn_int8_plan *plan = arguments;
    const size_t columns = plan->w->columns;
    const size_t first = tile * CAIRN_INT8_ROWS;
    const size_t left = plan->m - first;
    for (size_t t = first; t < first + (left < CAIRN_INT8_ROWS ? left : CAIRN_INT8_ROWS); t++) {
        const float *x = plan->x + t * columns;
        char *codes = (char *)plan->rows + t * plan->row_bytes;
        const int8_factors factors = int8_factors_in(x, CAIRN_DTYPE_F32, 0, columns);
        plan->row_scales[t] = factors.scale;
        const bool is_zero = factors.inverse == 0;
        for (size_t i = 0; i < plan->w->stride; i += LANES) {
            const v16 numbers = is_zero || i >= columns ? v16_zero()
                                                        : v16_load_some(x + i, columns - i);
            int8_store_codes(codes, i, int8_codes(numbers, factors.inverse));
        }
    }
}

// MARK: Codes to products

/// Sixteen words of a column's codes, from code `index` on.
CAIRN_INLINE v16 int8_load_column(const int8_t *codes, size_t index) {
#if defined(CAIRN_BUILD_AVX512BF16)
    return v16_load_bytes(codes + index);
#else
    typedef int8_t bytes __attribute__((ext_vector_type(32)));
    typedef int16_t halves __attribute__((ext_vector_type(32)));
    bytes line;
    memcpy(&line, codes + index, sizeof line);
    return (v16)__builtin_convertvector(line, halves);
#endif
}

/// Columns j ..< j + NR of W^T into a panel [words][NR]; zeros behind the last column.
static void int8_pack(const cairn_int8_plan *plan, size_t j, float *panel) {
    const cairn_int8 *w = plan->w;
    for (size_t v = 0; v < NV; v++)
        for (size_t index = 0; index < w->stride; index += LANES * INT8_WORD) {
            float lines[LANES * LANES];
            for (size_t c = 0; c < LANES; c++) {
                const size_t column = j + v * LANES + c;
                v16_store(lines + c * LANES,
                          column < plan->n ? int8_load_column(w->codes + column * w->stride, index)
                                           : v16_zero());
            }
            store_transposed((const char *)lines, LANES * sizeof(float),
                             panel + index / INT8_WORD * NR + v * LANES, LANES);
        }
}

/// Finished sums of row i, columns j ..< j + 16.
CAIRN_INLINE void int8_store(const cairn_int8_plan *plan, v16i sums, size_t i, size_t j) {
    const size_t columns = plan->n - j;
    v16 y = __builtin_convertvector(sums, v16) * v16_set(plan->row_scales[i]) *
            load_columns(plan->w->scales + j, columns);
    if (plan->bias) y = y + load_columns(plan->bias + j, columns);
    store_columns(plan->c + i * plan->n + j, y, columns);
}

/// Rows i ..< i + rows of a tile of columns that begins at j.
CAIRN_INLINE void int8_tile(const cairn_int8_plan *plan, const float *panel, size_t i, size_t j,
                            const size_t rows) {
    v16i sums[MR][NV];
    for (size_t v = 0; v < NV; v++) {
        v16i start = (v16i)(0);
        const size_t first = j + v * LANES;
        // Without a sign, for the 32 bits may overflow on the way and come back in the end.
        if (INT8_CODE_BYTES == 1 && first < plan->n)
            start = (v16i)((v16u)load_columns((const float *)plan->w->sums + first,
                                              plan->n - first) * -128u);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) sums[r][v] = start;
    }
    const char *a = (const char *)plan->rows + i * plan->row_bytes;
    const size_t words = plan->w->stride / INT8_WORD;
    for (size_t w = 0; w < words; w++) {
        v16i columns[NV];
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++) columns[v] = int8_load_words(panel + w * NR + v * LANES);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            const v16i x = (v16i)(*(const int8_word *)(a + r * plan->row_bytes + w * 4));
#pragma clang loop unroll(full)
            for (size_t v = 0; v < NV; v++)
                sums[r][v] = int8_multiply_add(x, columns[v], sums[r][v]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < NV; v++)
            if (j + v * LANES < plan->n) int8_store(plan, sums[r][v], i + r, j + v * LANES);
}

// One function per number of rows, so that each keeps exactly its sums in registers.
#define INT8_TILE_OF(rows) \
    static void int8_tile_of_##rows(const cairn_int8_plan *plan, const float *panel, size_t i, \
                                    size_t j) { \
        int8_tile(plan, panel, i, j, rows); \
    }
INT8_TILE_OF(1)
INT8_TILE_OF(2)
INT8_TILE_OF(3)
INT8_TILE_OF(4)
#if !defined(CAIRN_BUILD_SCALAR)
INT8_TILE_OF(5)
INT8_TILE_OF(6)
#endif
#if defined(CAIRN_WIDE_TILES)
INT8_TILE_OF(7)
INT8_TILE_OF(8)
INT8_TILE_OF(9)
INT8_TILE_OF(10)
INT8_TILE_OF(11)
INT8_TILE_OF(12)
#endif
#undef INT8_TILE_OF

/// A part of the rows times a tile of columns.
static void int8_unit(const void *arguments, size_t unit, size_t worker) {
    static void (*const tiles[])(const cairn_int8_plan *, const float *, size_t, size_t) = {
        int8_tile_of_1, int8_tile_of_2, int8_tile_of_3, int8_tile_of_4,
#if !defined(CAIRN_BUILD_SCALAR)
        int8_tile_of_5, int8_tile_of_6,
#endif
#if defined(CAIRN_WIDE_TILES)
        int8_tile_of_7, int8_tile_of_8, int8_tile_of_9, int8_tile_of_10, int8_tile_of_11,
        int8_tile_of_12,
#endif
    };
    _Static_assert(sizeof tiles / sizeof *tiles == MR, "one function per number of rows");
    const cairn_int8_plan *plan = arguments;
    float *panel = (float *)(plan->panels + worker * plan->panel_bytes);
    const size_t part = unit % plan->row_units, j = unit / plan->row_units * NR;
    const size_t row_tiles = (plan->m + MR - 1) / MR;
    const size_t first = part * row_tiles / plan->row_units * MR;
    const size_t end = (part + 1) * row_tiles / plan->row_units * MR;
    int8_pack(plan, j, panel);
    for (size_t i = first; i < end && i < plan->m; i += MR)
        tiles[(plan->m - i < MR ? plan->m - i : MR) - 1](plan, panel, i, j);
}
