// SPDX-License-Identifier: Apache-2.0
/// A register tile, and where its accumulators come from and go to.

/// Memory that will be read soon, asked for while a tile is multiplied: for each CHUNK of words
/// along k, `rows` rows of `lines` cache lines. Addresses are numbers, for they may lie behind an
/// operand.
typedef struct lookahead {
    uintptr_t first;
    size_t row_stride, rows, lines;  ///< Strides in bytes.
    size_t chunk_stride;
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
    const float *tail_a;  ///< As `a` and `b`, for the plan's tail; packed.
    const float *tail_b;
    size_t tail_stride, tail_words;  ///< From row to row of `tail_a`; no words without a tail.
    size_t i, j;                     ///< Where the tile lies in C.
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

/// What a tile kept goes to where its run ends. One function for tiles that are not whole: beside the
/// products of a run the way through memory costs little, and sixty copies would fill the caches
/// of code.
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

#define EACH_VECTOR(statement) \
    _Pragma("clang loop unroll(full)") for (size_t i = 0; i < shape.rows; i++) \
        _Pragma("clang loop unroll(full)") for (size_t v = 0; v < shape.vectors; v++) statement

/// What multiplying takes of a tile that the compiler knows.
typedef struct tile_shape {
    size_t rows, vectors;
    bool is_paired;
} tile_shape;

/// C from the accumulators of a whole tile, as `store_result` would.
CAIRN_INLINE void store_whole_tile(const cairn_matmul_plan *plan, const register_tile *t,
                                   const tile_shape shape, accumulators *acc) {
    float *c = plan->c + t->i * plan->c_stride + t->j;
    if (plan->scale != 1) EACH_VECTOR(acc->row[i][v] *= plan->scale;)
    if (plan->bias) EACH_VECTOR(acc->row[i][v] += v16_load(plan->bias + t->j + v * LANES);)
    if (plan->accumulate)
        EACH_VECTOR(acc->row[i][v] += v16_load(c + i * plan->c_stride + v * LANES);)
    EACH_VECTOR(v16_store(c + i * plan->c_stride + v * LANES, acc->row[i][v]);)
}

/// The sum of a gradient plus the accumulators of a whole tile, as `store_gradient` would.
CAIRN_INLINE void add_whole_tile(const cairn_matmul_plan *plan, const register_tile *t,
                                 const tile_shape shape, accumulators *acc) {
    float *sum = plan->gradient.sum + t->i * plan->c_stride + t->j;
    EACH_VECTOR(v16_store(sum + i * plan->c_stride + v * LANES,
                          v16_load(sum + i * plan->c_stride + v * LANES) + acc->row[i][v]);)
}
#undef EACH_VECTOR
