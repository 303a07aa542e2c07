// SPDX-License-Identifier: Apache-2.0
/// The micro-kernel: one register tile of C along one block of k.

/// What the micro-kernel needs to know of a tile.
typedef struct register_tile {
    const cairn_matmul_run *runs;
    size_t run_count;
    const float *a;
    size_t row_stride, a_step;  ///< Element (i, p) of A is a[i * row_stride + p * a_step].
    const float *b;
    size_t b_step;  ///< Element (p, j) of B is b[p * b_step + j].
    float *kept;    ///< [MR, NR]
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

/// acc[i, j] = fma(a[i, p], b[p, j], acc[i, j]), p ascending.
#if defined(CAIRN_BUILD_SCALAR)
CAIRN_INLINE void multiply_add(accumulators *acc, const size_t rows, size_t count, const float *a,
                               size_t row_stride, size_t a_step, const float *b, size_t b_step) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < NR; j++) {
            float sum = acc->row[i][j / LANES][j % LANES];
            for (size_t p = 0; p < count; p++)
                sum = fma1(a[i * row_stride + p * a_step], b[p * b_step + j], sum);
            acc->row[i][j / LANES][j % LANES] = sum;
        }
}
#else
CAIRN_INLINE void multiply_add_once(accumulators *acc, const size_t rows, const float *a,
                                    size_t row_stride, const float *b) {
    v16 columns[NV];
#pragma clang loop unroll(full)
    for (size_t v = 0; v < NV; v++) columns[v] = v16_load(b + v * LANES);
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows; i++) {
        const v16 x = v16_set(a[i * row_stride]);
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++) acc->row[i][v] = v16_fma(x, columns[v], acc->row[i][v]);
    }
}

CAIRN_INLINE void multiply_add(accumulators *acc, const size_t rows, size_t count, const float *a,
                               size_t row_stride, size_t a_step, const float *b, size_t b_step) {
    size_t p = 0;
    for (; p + UNROLL <= count; p += UNROLL, a += UNROLL * a_step, b += UNROLL * b_step) {
#pragma clang loop unroll(full)
        for (size_t u = 0; u < UNROLL; u++)
            multiply_add_once(acc, rows, a + u * a_step, row_stride, b + u * b_step);
    }
    for (; p < count; p++, a += a_step, b += b_step)
        multiply_add_once(acc, rows, a, row_stride, b);
}
#endif

CAIRN_INLINE void start_run(const cairn_matmul_plan *plan, const register_tile *t,
                            const size_t rows, cairn_run_start start, accumulators *acc) {
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++) acc->row[i][v] = v16_zero();
    if (start == CAIRN_START_KEPT) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < rows; i++)
#pragma clang loop unroll(full)
            for (size_t v = 0; v < NV; v++)
                acc->row[i][v] = v16_load(t->kept + (i * NV + v) * LANES);
    } else if (start == CAIRN_START_OPEN) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < rows; i++)
#pragma clang loop unroll(full)
            for (size_t v = 0; v < NV; v++) {
                const size_t j = t->j + v * LANES;
                if (j < plan->n)
                    acc->row[i][v] = load_columns(
                        plan->gradient.open + (t->i + i) * plan->c_stride + j, plan->n - j);
            }
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

CAIRN_INLINE void end_run(const cairn_matmul_plan *plan, const register_tile *t, const size_t rows,
                          cairn_run_end end, const accumulators *acc) {
    if (end == CAIRN_END_KEEP) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < rows; i++)
#pragma clang loop unroll(full)
            for (size_t v = 0; v < NV; v++)
                v16_store(t->kept + (i * NV + v) * LANES, acc->row[i][v]);
        return;
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++) {
            const size_t j = t->j + v * LANES;
            if (j >= plan->n) continue;
            if (end == CAIRN_END_STORE)
                store_result(plan, acc->row[i][v], t->i + i, j);
            else
                store_gradient(plan, end, acc->row[i][v], t->i + i, j);
        }
}

/// A tile of `rows` rows, a number that the compiler knows.
CAIRN_INLINE void tile_of(const cairn_matmul_plan *plan, const register_tile *t, const size_t rows,
                          const size_t row_stride, const size_t a_step, const size_t b_step) {
    for (size_t i = 0; i < t->run_count; i++) {
        const cairn_matmul_run *run = &t->runs[i];
        accumulators acc;
        start_run(plan, t, rows, run->start, &acc);
        multiply_add(&acc, rows, run->count, t->a + run->begin * a_step, row_stride, a_step,
                     t->b + run->begin * b_step, b_step);
        end_run(plan, t, rows, run->end, &acc);
    }
}

// One function per number of rows, so that each keeps exactly its accumulators in registers; in
// each, the two ways that operands lie: A in rows and B packed, or A in lines and B as it is.
#define TILE_OF(rows) \
    static void tile_of_##rows(const cairn_matmul_plan *plan, const register_tile *t) { \
        if (t->a_step == 1 && t->b_step == NR) \
            tile_of(plan, t, rows, t->row_stride, 1, NR); \
        else \
            tile_of(plan, t, rows, t->row_stride, t->a_step, t->b_step); \
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
