// SPDX-License-Identifier: Apache-2.0
/// The micro-kernel: one register tile of C along one block of k.

/// Memory that will be read soon: `rows` rows, asked for while a tile is multiplied, a cache line
/// of each for every CHUNK positions. Addresses as numbers, for they may lie behind an operand.
typedef struct lookahead {
    uintptr_t first;
    size_t stride, rows;  ///< Bytes from row to row.
} lookahead;

/// What the micro-kernel needs to know of a tile.
typedef struct register_tile {
    const cairn_matmul_run *runs;
    size_t run_count;
    const float *a;
    size_t row_stride, a_step;  ///< Element (i, p) of A is a[i * row_stride + p * a_step].
    const float *b;
    size_t b_step;  ///< Element (p, j) of B is b[p * b_step + j].
    float *kept;    ///< [MR, NR]
    lookahead next_a, next_b;
    size_t i, j;    ///< Where the tile lies in C.
} register_tile;

/// The rows of accumulators. An array of constant size becomes registers.
typedef struct accumulators {
    v16 row[MR][NV];
} accumulators;

CAIRN_INLINE v16 load_columns(const float *p, size_t count) {
    return count >= LANES ? v16_load(p) : v16_load_first(p, count);
}

CAIRN_INLINE void store_columns(float *p, v16 x, size_t count) {
    if (count >= LANES)
        v16_store(p, x);
    else
        v16_store_first(p, x, count);
}

/// What multiplying takes of a tile that the compiler knows.
typedef struct tile_shape {
    size_t rows, vectors;
    bool is_paired;
} tile_shape;

CAIRN_INLINE v16 multiply_add_words(v16 a, v16 b, v16 sum, bool is_paired) {
    return is_paired ? multiply_add_pairs(a, b, sum) : v16_fma(a, b, sum);
}

/// acc[i, j] = acc[i, j] + a[i, p] b[p, j], fused, p ascending.
#if defined(CAIRN_BUILD_SCALAR)
CAIRN_INLINE void multiply_add(accumulators *acc, const tile_shape shape, size_t count,
                               const float *a, size_t row_stride, size_t a_step, const float *b,
                               size_t b_step) {
    for (size_t i = 0; i < shape.rows; i++) {
        if (shape.is_paired) {
            for (size_t p = 0; p < count; p++)
                acc->row[i][0] = multiply_add_pairs(v16_set(a[i * row_stride + p * a_step]),
                                                    v16_load(b + p * b_step), acc->row[i][0]);
            continue;
        }
        for (size_t j = 0; j < NR; j++) {
            float sum = acc->row[i][j / LANES][j % LANES];
            for (size_t p = 0; p < count; p++)
                sum = fma1(a[i * row_stride + p * a_step], b[p * b_step + j], sum);
            acc->row[i][j / LANES][j % LANES] = sum;
        }
    }
}
#else
CAIRN_INLINE void multiply_add_once(accumulators *acc, const tile_shape shape, const float *a,
                                    size_t row_stride, const float *b) {
    v16 columns[NV];
#pragma clang loop unroll(full)
    for (size_t v = 0; v < shape.vectors; v++) columns[v] = v16_load(b + v * LANES);
#pragma clang loop unroll(full)
    for (size_t i = 0; i < shape.rows; i++) {
        const v16 x = v16_set(a[i * row_stride]);
#pragma clang loop unroll(full)
        for (size_t v = 0; v < shape.vectors; v++)
            acc->row[i][v] = multiply_add_words(x, columns[v], acc->row[i][v], shape.is_paired);
    }
}

CAIRN_INLINE void multiply_add(accumulators *acc, const tile_shape shape, size_t count,
                               const float *a, size_t row_stride, size_t a_step, const float *b,
                               size_t b_step) {
    size_t p = 0;
    for (; p + UNROLL <= count; p += UNROLL, a += UNROLL * a_step, b += UNROLL * b_step) {
#pragma clang loop unroll(full)
        for (size_t u = 0; u < UNROLL; u++)
            multiply_add_once(acc, shape, a + u * a_step, row_stride, b + u * b_step);
    }
    for (; p < count; p++, a += a_step, b += b_step)
        multiply_add_once(acc, shape, a, row_stride, b);
}
#endif

CAIRN_INLINE void look_ahead(const lookahead *ahead, size_t chunk) {
    for (size_t row = 0; row < ahead->rows; row++)
        __builtin_prefetch((const void *)(ahead->first + row * ahead->stride + chunk * 64));
}

/// The same in chunks, each with a share of what is asked for.
CAIRN_INLINE void multiply_add_ahead(accumulators *acc, const tile_shape shape, size_t count,
                                     const register_tile *t, const float *a, size_t row_stride,
                                     size_t a_step, const float *b, size_t b_step) {
    for (size_t p = 0, chunk = 0; p < count; p += CHUNK, chunk++) {
        look_ahead(&t->next_a, chunk);
        look_ahead(&t->next_b, chunk);
        multiply_add(acc, shape, count - p < CHUNK ? count - p : CHUNK, a + p * a_step, row_stride,
                     a_step, b + p * b_step, b_step);
    }
}

/// What a tile had open becomes what it kept.
__attribute__((noinline)) static void take_open(const cairn_matmul_plan *plan, const register_tile *t, size_t rows) {
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < NV; v++) {
            const size_t j = t->j + v * LANES;
            const float *open = plan->gradient.open + (t->i + i) * plan->c_stride;
            v16_store(t->kept + (i * NV + v) * LANES,
                      j < plan->n ? load_columns(open + j, plan->n - j) : v16_zero());
        }
}

/// Up to 16 finished elements of C, from (i, j) on.
CAIRN_INLINE void store_result(const cairn_matmul_plan *plan, v16 x, size_t i, size_t j) {
    const size_t columns = plan->n - j;
    float *c = plan->c + i * plan->c_stride + j;
    if (plan->scale != 1) x = x * plan->scale;
    if (plan->bias) x = x + load_columns(plan->bias + j, columns);
    if (plan->accumulate) x = x + load_columns(c, columns);
    store_columns(c, x, columns);
}

/// Up to 16 elements of a gradient, from (i, j) on.
CAIRN_INLINE void store_gradient(const cairn_matmul_plan *plan, cairn_run_end end, v16 x, size_t i,
                                 size_t j) {
    const size_t columns = plan->n - j, at = i * plan->c_stride + j;
    if (end == CAIRN_END_OPEN)
        store_columns(plan->gradient.open + at, x, columns);
    else
        store_columns(plan->gradient.sum + at,
                      load_columns(plan->gradient.sum + at, columns) + x, columns);
}

/// What a tile kept goes to where its run ends. One function for all shapes: beside the products
/// of a run the way through memory costs little, and sixty copies would fill the caches of code.
__attribute__((noinline)) static void finish(const cairn_matmul_plan *plan, const register_tile *t, size_t rows,
                   cairn_run_end end) {
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < NV; v++) {
            const size_t j = t->j + v * LANES;
            if (j >= plan->n) continue;
            const v16 x = v16_load(t->kept + (i * NV + v) * LANES);
            if (end == CAIRN_END_STORE)
                store_result(plan, x, t->i + i, j);
            else
                store_gradient(plan, end, x, t->i + i, j);
        }
}

/// A tile of a shape that the compiler knows.
CAIRN_INLINE void tile_of(const cairn_matmul_plan *plan, const register_tile *t,
                          const tile_shape shape, const size_t row_stride, const size_t a_step,
                          const size_t b_step) {
    const size_t length = shape.is_paired ? 2 : 1;
    for (size_t i = 0; i < t->run_count; i++) {
        const cairn_matmul_run *run = &t->runs[i];
        const size_t begin = run->begin / length, count = run->count / length;
        accumulators acc;
        if (run->start == CAIRN_START_OPEN) take_open(plan, t, shape.rows);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < shape.rows; r++)
#pragma clang loop unroll(full)
            for (size_t v = 0; v < shape.vectors; v++)
                acc.row[r][v] = run->start == CAIRN_START_ZERO
                                    ? v16_zero()
                                    : v16_load(t->kept + (r * NV + v) * LANES);
        multiply_add_ahead(&acc, shape, count, t, t->a + begin * a_step, row_stride, a_step,
                           t->b + begin * b_step, b_step);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < shape.rows; r++)
#pragma clang loop unroll(full)
            for (size_t v = 0; v < shape.vectors; v++)
                v16_store(t->kept + (r * NV + v) * LANES, acc.row[r][v]);
        if (run->end != CAIRN_END_KEEP) finish(plan, t, shape.rows, run->end);
    }
}

/// A tile of `rows` rows. Where A lies in rows and B is packed the strides are known; else A lies
/// in lines or B as it is. The last columns may need one vector only.
CAIRN_INLINE void tile_of_rows(const cairn_matmul_plan *plan, const register_tile *t,
                               const size_t rows, const bool is_paired) {
    if (NV > 1 && t->j + LANES >= plan->n)
        tile_of(plan, t, (tile_shape){rows, 1, is_paired}, t->row_stride, t->a_step, t->b_step);
    else if (t->a_step == 1 && t->b_step == NR)
        tile_of(plan, t, (tile_shape){rows, NV, is_paired}, t->row_stride, 1, NR);
    else
        tile_of(plan, t, (tile_shape){rows, NV, is_paired}, t->row_stride, t->a_step, t->b_step);
}

// One function per number of rows, so that each keeps exactly its accumulators in registers.
#define TILE_OF(rows) \
    static void tile_of_##rows(const cairn_matmul_plan *plan, const register_tile *t) { \
        if (HAS_PAIRS && plan->rounds) \
            tile_of_rows(plan, t, rows, true); \
        else \
            tile_of_rows(plan, t, rows, false); \
    }
TILE_OF(1)
TILE_OF(2)
TILE_OF(3)
TILE_OF(4)
#if !defined(CAIRN_BUILD_SCALAR)
TILE_OF(5)
TILE_OF(6)
#endif
#if defined(CAIRN_WIDE_TILES)
TILE_OF(7)
TILE_OF(8)
TILE_OF(9)
TILE_OF(10)
TILE_OF(11)
TILE_OF(12)
#endif
#undef TILE_OF

static void matmul_tile(const cairn_matmul_plan *plan, const register_tile *t, size_t rows) {
    static void (*const tiles[])(const cairn_matmul_plan *, const register_tile *) = {
        tile_of_1, tile_of_2, tile_of_3, tile_of_4,
#if !defined(CAIRN_BUILD_SCALAR)
        tile_of_5, tile_of_6,
#endif
#if defined(CAIRN_WIDE_TILES)
        tile_of_7, tile_of_8, tile_of_9, tile_of_10, tile_of_11, tile_of_12,
#endif
    };
    _Static_assert(sizeof tiles / sizeof *tiles == MR, "one function per number of rows");
    tiles[rows - 1](plan, t);
}
