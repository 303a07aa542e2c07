// SPDX-License-Identifier: Apache-2.0
/// The micro-kernel: one register tile of C along one block of k.

/// What the micro-kernel needs to know of a tile.
typedef struct register_tile {
    const cairn_matmul_run *runs;
    size_t run_count;
    const float *a;
    size_t row_stride, step;  ///< Element (i, p) of A is a[i * row_stride + p * step]: A lies in
                              ///< rows (step 1) or in a panel (row_stride 1, step MR).
    const float *b;           ///< Element (p, j) of B is b[p * NR + j].
    float *kept;              ///< [MR, NR]
    size_t i, j;              ///< Where the tile lies in C.
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
                               size_t row_stride, size_t step, const float *b) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < NR; j++) {
            float sum = acc->row[i][j / LANES][j % LANES];
            for (size_t p = 0; p < count; p++)
                sum = fma1(a[i * row_stride + p * step], b[p * NR + j], sum);
            acc->row[i][j / LANES][j % LANES] = sum;
        }
}
#else
/// One position along k. Rows are addressed from every third one, as base + {0, 1, 2} * stride.
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
                               size_t row_stride, size_t step, const float *b) {
    size_t p = 0;
    for (; p + UNROLL <= count; p += UNROLL, a += UNROLL * step, b += UNROLL * NR) {
#pragma clang loop unroll(full)
        for (size_t u = 0; u < UNROLL; u++)
            multiply_add_once(acc, rows, a + u * step, row_stride, b + u * NR);
    }
    for (; p < count; p++, a += step, b += NR) multiply_add_once(acc, rows, a, row_stride, b);
}
#endif

CAIRN_INLINE void start_run(const cairn_matmul_plan *plan, const register_tile *t, const size_t rows,
                            cairn_run_start start, accumulators *acc) {
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < NV; v++) {
            const size_t j = t->j + v * LANES;
            if (start == CAIRN_START_KEPT) {
                acc->row[i][v] = v16_load(t->kept + (i * NV + v) * LANES);
            } else if (start == CAIRN_START_OPEN && j < plan->n) {
                const float *open = plan->gradient.open + (t->i + i) * plan->c_stride + j;
                acc->row[i][v] = load_columns(open, plan->n - j);
            } else {
                acc->row[i][v] = v16_zero();
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

CAIRN_INLINE void end_run(const cairn_matmul_plan *plan, const register_tile *t, const size_t rows,
                          cairn_run_end end, const accumulators *acc) {
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < NV; v++) {
            const v16 x = acc->row[i][v];
            const size_t j = t->j + v * LANES;
            if (end == CAIRN_END_KEEP) {
                v16_store(t->kept + (i * NV + v) * LANES, x);
            } else if (j < plan->n) {
                const size_t columns = plan->n - j, at = (t->i + i) * plan->c_stride + j;
                if (end == CAIRN_END_STORE)
                    store_result(plan, x, t->i + i, j);
                else if (end == CAIRN_END_OPEN)
                    store_columns(plan->gradient.open + at, x, columns);
                else
                    store_columns(plan->gradient.sum + at,
                                  load_columns(plan->gradient.sum + at, columns) + x, columns);
            }
        }
}

/// The tile with a number of rows and a step that the compiler knows.
CAIRN_INLINE void tile_of(const cairn_matmul_plan *plan, const register_tile *t, const size_t rows,
                          const size_t row_stride, const size_t step) {
    for (size_t i = 0; i < t->run_count; i++) {
        const cairn_matmul_run *run = &t->runs[i];
        accumulators acc;
        start_run(plan, t, rows, run->start, &acc);
        multiply_add(&acc, rows, run->count, t->a + run->begin * step, row_stride, step,
                     t->b + run->begin * NR);
        end_run(plan, t, rows, run->end, &acc);
    }
}

// One function per number of rows, so that each keeps exactly its accumulators in registers.
#define TILE_OF(rows) \
    static void tile_of_##rows(const cairn_matmul_plan *plan, const register_tile *t) { \
        if (t->step == 1) \
            tile_of(plan, t, rows, t->row_stride, 1); \
        else \
            tile_of(plan, t, rows, 1, MR); \
    }
TILE_OF(1)
TILE_OF(2)
TILE_OF(3)
TILE_OF(4)
#if !defined(CAIRN_BUILD_SCALAR)
TILE_OF(5)
TILE_OF(6)
#endif
#if defined(CAIRN_BUILD_AVX512) || defined(CAIRN_TEST_WIDE_TILES)
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
#if defined(CAIRN_BUILD_AVX512) || defined(CAIRN_TEST_WIDE_TILES)
        tile_of_7, tile_of_8, tile_of_9, tile_of_10, tile_of_11, tile_of_12,
#endif
    };
    _Static_assert(sizeof tiles / sizeof *tiles == MR, "one function per number of rows");
    tiles[rows - 1](plan, t);
}
