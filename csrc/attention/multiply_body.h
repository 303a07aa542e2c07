// SPDX-License-Identifier: Apache-2.0
/// Small products for attention: a block of rows by one or two vectors of columns in registers.

// One accumulator per row and vector. AVX-512 and NEON have 32 registers: 16 accumulators hide the
// latency of two multiply-add units, and each load of a number serves two of them. AVX2 has 16 of
// half a vector: six rows leave room for a row of b and a number of a. PANEL vectors of rows are
// whole blocks.
#if defined(CAIRN_BUILD_AVX512)
enum { BLOCK = 8, VECTORS = 2, PANEL = 2 };
#else
enum { BLOCK = 6, VECTORS = 1, PANEL = 3 };
#endif

/// Where the left operand of a product lies: element (i, k) is data[i * row + k * column].
typedef struct left_operand {
    const float *data;
    size_t row, column;
} left_operand;

/// A product of a few columns: c <- a b, or c + a b; a [rows, depth], b [depth, columns].
typedef struct small_product {
    fetch *next;  ///< What is asked for meanwhile.
    size_t rows, depth;
    left_operand a;
    const float *b;
    size_t b_stride;
    bool accumulate;
    float *c;
    size_t c_stride;
    /// With both: row i takes only the steps k with low[i] <= first_step + k < high[i].
    const int32_t *low, *high;
    int32_t first_step;
} small_product;

CAIRN_INLINE v16i v16i_load(const int32_t *p) {
    typedef int32_t v16i_unaligned __attribute__((ext_vector_type(16), aligned(4)));
    return *(const v16i_unaligned *)p;
}

/// Steps that any of some rows takes, first ..< last, and of these the ones that all of them take.
typedef struct steps {
    int32_t first, all_first, all_last, last;
} steps;

CAIRN_INLINE steps steps_of(const small_product *p, size_t first, const size_t rows) {
    const int32_t begin = p->first_step, end = begin + (int32_t)p->depth;
    steps s = {end, begin, end, begin};
    for (size_t i = first; i < first + rows; i++) {
        const int32_t low = p->low[i] > begin ? p->low[i] : begin;
        const int32_t high = p->high[i] < end ? p->high[i] : end;
        // A row that takes no step has no part in the union.
        s.first = low < high && low < s.first ? low : s.first;
        s.last = low < high && high > s.last ? high : s.last;
        s.all_first = low > s.all_first ? low : s.all_first;
        s.all_last = high < s.all_last ? high : s.all_last;
    }
    if (s.first >= s.last) return (steps){begin, begin, begin, begin};
    if (s.all_first >= s.all_last) s.all_first = s.all_last = s.last;
    return s;
}

/// acc += a b over the steps begin ..< end, ascending.
CAIRN_INLINE void multiply_steps(const small_product *p, size_t first, size_t column, int32_t begin,
                                 int32_t end, const size_t rows, const size_t vectors,
                                 const bool masked, v16 acc[BLOCK][VECTORS]) {
    const size_t skipped = (size_t)(begin - p->first_step);
    const float *a = p->a.data + first * p->a.row + skipped * p->a.column;
    const float *b = p->b + skipped * p->b_stride + column;
    for (int32_t k = begin; k < end; k++, a += p->a.column, b += p->b_stride) {
        v16 row[VECTORS];
        for (size_t v = 0; v < vectors; v++) row[v] = v16_load(b + v * LANES);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < rows; i++) {
            const v16 number = v16_set(a[i * p->a.row]);
            const bool taken = !masked || (p->low[first + i] <= k && k < p->high[first + i]);
            for (size_t v = 0; v < vectors; v++) {
                const v16 sum = v16_fma(number, row[v], acc[i][v]);
                acc[i][v] = masked ? v16_select((v16i)(-(int32_t)taken), sum, acc[i][v]) : sum;
            }
        }
    }
}

/// Rows first ..< first + rows: each element one chain of fused multiply-adds, k ascending.
CAIRN_INLINE void multiply_block(const small_product *p, size_t first, size_t column,
                                 const size_t rows, const size_t vectors, const bool masked) {
    v16 acc[BLOCK][VECTORS];
    float *c = p->c + first * p->c_stride + column;
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < vectors; v++)
            acc[i][v] = p->accumulate ? v16_load(c + i * p->c_stride + v * LANES) : v16_zero();
    if (masked) {
        const steps s = steps_of(p, first, rows);
        multiply_steps(p, first, column, s.first, s.all_first, rows, vectors, true, acc);
        multiply_steps(p, first, column, s.all_first, s.all_last, rows, vectors, false, acc);
        multiply_steps(p, first, column, s.all_last, s.last, rows, vectors, true, acc);
    } else {
        const int32_t begin = p->first_step, end = begin + (int32_t)p->depth;
        multiply_steps(p, first, column, begin, end, rows, vectors, false, acc);
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < vectors; v++)
            v16_store(c + i * p->c_stride + v * LANES, acc[i][v]);
}

/// One or two vectors of columns, all rows.
CAIRN_INLINE void multiply_columns(const small_product *p, size_t column, const size_t vectors,
                                   const bool masked) {
    size_t i = 0;
    for (; i + BLOCK <= p->rows; i += BLOCK) {
        fetch_lines(p->next, p->depth);
        multiply_block(p, i, column, BLOCK, vectors, masked);
    }
    fetch_lines(p->next, p->depth);
    if (i + BLOCK / 2 <= p->rows) {
        multiply_block(p, i, column, BLOCK / 2, vectors, masked);
        i += BLOCK / 2;
    }
    switch (p->rows - i) {
    case 1:
        return multiply_block(p, i, column, 1, vectors, masked);
    case 2:
        return multiply_block(p, i, column, 2, vectors, masked);
    case 3:
        return multiply_block(p, i, column, 3, vectors, masked);
    }
}

static void multiply_vector(const small_product *p, size_t column) {
    multiply_columns(p, column, 1, false);
}

static void multiply_vectors(const small_product *p, size_t column) {
    multiply_columns(p, column, VECTORS, false);
}

static void multiply_vector_masked(const small_product *p, size_t column) {
    multiply_columns(p, column, 1, true);
}

static void multiply_vectors_masked(const small_product *p, size_t column) {
    multiply_columns(p, column, VECTORS, true);
}

/// Columns first ..< last, whole vectors.
static void multiply_small(const small_product *p, size_t first, size_t last) {
    size_t j = first;
    for (; j + VECTORS * LANES <= last; j += VECTORS * LANES) {
        if (p->low) {
            multiply_vectors_masked(p, j);
        } else {
            multiply_vectors(p, j);
        }
    }
    for (; j < last; j += LANES) {
        if (p->low) {
            multiply_vector_masked(p, j);
        } else {
            multiply_vector(p, j);
        }
    }
}

/// Columns first ..< last, fewer than a vector.
static void multiply_tail(const small_product *p, size_t first, size_t last) {
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = first; j < last; j++) {
            const float *a = p->a.data + i * p->a.row, *b = p->b + j;
            float *c = p->c + i * p->c_stride + j, sum = p->accumulate ? *c : 0;
            for (size_t k = 0; k < p->depth; k++)
                sum = fma1(a[k * p->a.column], b[k * p->b_stride], sum);
            *c = sum;
        }
}
