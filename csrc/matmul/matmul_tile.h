// SPDX-License-Identifier: Apache-2.0
/// The micro-kernel: one register tile of C along one block of k.

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
    const uintptr_t first = ahead->first + chunk * ahead->chunk_stride;
    for (size_t row = 0; row < ahead->rows; row++)
        for (size_t line = 0; line < ahead->lines; line++)
            __builtin_prefetch((const void *)(first + row * ahead->row_stride + line * LINE), 0, 2);
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

/// Asks for the lines that a tile of C will be written to, so that `finish` need not wait for them.
CAIRN_INLINE void ask_for_result(const cairn_matmul_plan *plan, const register_tile *t,
                                 const tile_shape shape, cairn_run_end end) {
    if (end == CAIRN_END_KEEP) return;
    const float *result = end == CAIRN_END_STORE ? plan->c
                          : end == CAIRN_END_ADD ? plan->gradient.sum
                                                 : plan->gradient.open;
    const uintptr_t first = (uintptr_t)result + (t->i * plan->c_stride + t->j) * sizeof(float);
#pragma clang loop unroll(full)
    for (size_t i = 0; i < shape.rows; i++)
#pragma clang loop unroll(full)
        for (size_t v = 0; v < shape.vectors; v++)
            __builtin_prefetch(
                (const void *)(first + i * plan->c_stride * sizeof(float) + v * LINE), 1);
}

/// The accumulators at the start of a run.
CAIRN_INLINE void start_run(const register_tile *t, const tile_shape shape, cairn_run_start start,
                            accumulators *acc) {
#pragma clang loop unroll(full)
    for (size_t i = 0; i < shape.rows; i++)
#pragma clang loop unroll(full)
        for (size_t v = 0; v < shape.vectors; v++)
            acc->row[i][v] = start == CAIRN_START_ZERO
                                 ? v16_zero()
                                 : v16_load(t->kept + (i * NV + v) * LANES);
}

CAIRN_INLINE void end_run(const cairn_matmul_plan *plan, const register_tile *t,
                          const tile_shape shape, cairn_run_end end, accumulators *acc) {
    // A group of short rows is a run of few positions: its end counts. So do those of the tiles
    // that the ranks 4, 8, 16, 32 and 64 leave over.
    if ((shape.rows == MR || shape.rows % 4 == 0) && t->j + shape.vectors * LANES <= plan->n) {
        if (end == CAIRN_END_STORE) return store_whole_tile(plan, t, shape, acc);
        if (end == CAIRN_END_ADD) return add_whole_tile(plan, t, shape, acc);
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < shape.rows; i++)
#pragma clang loop unroll(full)
        for (size_t v = 0; v < shape.vectors; v++)
            v16_store(t->kept + (i * NV + v) * LANES, acc->row[i][v]);
    if (end != CAIRN_END_KEEP) finish(plan, t, shape.rows, end);
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
        start_run(t, shape, run->start, &acc);
        ask_for_result(plan, t, shape, run->end);
        multiply_add_ahead(&acc, shape, count, t, t->a + begin * a_step, row_stride, a_step,
                           t->b + begin * b_step, b_step);
        if (t->tail_words > 0)
            multiply_add(&acc, shape, t->tail_words, t->tail_a, t->tail_stride, 1, t->tail_b, NR);
        end_run(plan, t, shape, run->end, &acc);
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
