// SPDX-License-Identifier: Apache-2.0
/// Gradients of which one side is as narrow as a LoRA rank.
///
///     [rank, width]: S^T X,   or transposed, [width, rank]: X^T S,   S [rows, rank], X [rows, width]
///
/// Packing X would cost as much as multiplying it: sixteen of its columns come into a register, are
/// rounded there, and meet all numbers of the row of S before the next. Every element is the same
/// chain as in the units, and a product does not ask which factor comes first.

// Rows of accumulators: AVX-512 has 32 registers, of which rounding takes some; elsewhere a vector
// is two or four registers, and the tile is that of a unit.
#if defined(CAIRN_WIDE_TILES)
enum { THIN = 16 };
#else
enum { THIN = MR };
#endif

enum { THIN_TASK = 2 * LANES };  // Columns of a task: lines of memory come in pairs.

/// Rows i ..< i + count of S^T, columns j ..< j + columns, of one part of the gradient.
typedef struct thin_place {
    size_t i, count;
    size_t j, columns;
} thin_place;

/// That part, a vector of columns for each row; zeros for the rest of the tile.
__attribute__((noinline)) static void load_thin(const cairn_matmul_thin *thin, const float *from,
                                                const thin_place *at, float *tile) {
    memset(tile, 0, THIN * LANES * sizeof *tile);
    if (!thin->transposed) {
        for (size_t i = 0; i < at->count; i++)
            v16_store(tile + i * LANES,
                      load_columns(from + (at->i + i) * thin->width + at->j, at->columns));
        return;
    }
    float lines[LANES * LANES] = {0}, across[LANES * NR];
    for (size_t l = 0; l < at->columns; l++)
        v16_store(lines + l * LANES,
                  load_columns(from + (at->j + l) * thin->rank + at->i, at->count));
    store_transposed((const char *)lines, LANES * sizeof(float), across, LANES);
    for (size_t i = 0; i < at->count; i++) v16_store(tile + i * LANES, v16_load(across + i * NR));
}

__attribute__((noinline)) static void store_thin(const cairn_matmul_thin *thin, float *to,
                                                 const thin_place *at, const float *tile) {
    if (!thin->transposed) {
        for (size_t i = 0; i < at->count; i++)
            store_columns(to + (at->i + i) * thin->width + at->j, v16_load(tile + i * LANES),
                          at->columns);
        return;
    }
    float lines[LANES * LANES] = {0}, across[LANES * NR];
    memcpy(lines, tile, at->count * LANES * sizeof *tile);
    store_transposed((const char *)lines, LANES * sizeof(float), across, LANES);
    for (size_t l = 0; l < at->columns; l++)
        store_columns(to + (at->j + l) * thin->rank + at->i, v16_load(across + l * NR), at->count);
}

#define EACH_ROW(statement) \
    _Pragma("clang loop unroll(full)") for (size_t i = 0; i < rows; i++) statement

/// One tile of a known number of rows, along all of S and X, run by run.
CAIRN_INLINE void thin_tile(const cairn_matmul_thin *thin, const reading how, const size_t rows,
                            const thin_place *at, const size_t columns) {
    const cairn_matmul_plan *plan = thin->plan;
    const cairn_matmul_part *part = &plan->parts[0];
    const size_t length = word_length(how);
    float sum[THIN * LANES], open[THIN * LANES];
    load_thin(thin, plan->gradient.sum, at, sum);
    for (size_t r = 0; r < thin->run_count; r++) {
        const cairn_matmul_run *run = &plan->runs[r];
        v16 acc[THIN];
        if (run->start == CAIRN_START_OPEN) {
            load_thin(thin, plan->gradient.open, at, open);
            EACH_ROW(acc[i] = v16_load(open + i * LANES);)
        } else {
            EACH_ROW(acc[i] = v16_zero();)
        }
        const size_t end = (run->begin + run->count) / length;
        for (size_t w = run->begin / length; w < end; w++) {
            const v16 x = load_across(plan, &part->b, part->k, how, w, at->j, columns);
            const float *s = thin->packed + w * thin->packed_rank + at->i;
            EACH_ROW(acc[i] = multiply_add_words(v16_set(s[i]), x, acc[i],
                                                 how.form == FORM_PAIRED);)
        }
        if (run->end == CAIRN_END_OPEN) {
            EACH_ROW(v16_store(open + i * LANES, acc[i]);)
            store_thin(thin, plan->gradient.open, at, open);
        } else {
            EACH_ROW(v16_store(sum + i * LANES, v16_load(sum + i * LANES) + acc[i]);)
        }
    }
    store_thin(thin, plan->gradient.sum, at, sum);
}
#undef EACH_ROW

/// All rows of S^T with up to sixteen columns of X.
CAIRN_INLINE void thin_columns(const cairn_matmul_thin *thin, const reading how, size_t j,
                               size_t columns) {
    for (size_t i = 0; i < thin->rank; i += THIN) {
        const size_t left = thin->rank - i;
        const thin_place at = {i, left < THIN ? left : THIN, j, columns};
        // All sixteen columns are there as a rule: a number that the compiler knows.
        if (left <= THIN / 2)
            thin_tile(thin, how, THIN / 2, &at, columns);
        else if (columns < LANES)
            thin_tile(thin, how, THIN, &at, columns);
        else
            thin_tile(thin, how, THIN, &at, LANES);
    }
}

/// Packs S: a word for each of `packed_rank` numbers of a row, zeros behind the rank.
CAIRN_INLINE void thin_pack(const cairn_matmul_thin *thin, const reading how) {
    const cairn_matmul_plan *plan = thin->plan;
    const cairn_matmul_part *part = &plan->parts[0];
    const size_t words = thin->positions / word_length(how);
    for (size_t w = 0; w < words; w++)
        for (size_t i = 0; i < thin->packed_rank; i += LANES)
            store_columns(thin->packed + w * thin->packed_rank + i,
                          load_across(plan, &part->a, part->k, how, w, i,
                                      i < thin->rank ? thin->rank - i : 0),
                          thin->packed_rank - i);
}

static void matmul_pack_thin(const cairn_matmul_thin *thin) {
    if (!thin->plan->rounds)
        thin_pack(thin, (reading){CAIRN_DTYPE_F32, FORM_PLAIN});
    else
        thin_pack(thin, (reading){CAIRN_DTYPE_F32, HAS_PAIRS ? FORM_PAIRED : FORM_ROUNDED});
}

static void matmul_thin(const void *arguments, size_t task, size_t worker) {
    (void)worker;
    const cairn_matmul_thin *thin = arguments;
    for (size_t j = task * THIN_TASK; j < (task + 1) * THIN_TASK && j < thin->width; j += LANES) {
        const size_t columns = thin->width - j < LANES ? thin->width - j : LANES;
        if (!thin->plan->rounds)
            thin_columns(thin, (reading){CAIRN_DTYPE_F32, FORM_PLAIN}, j, columns);
        else
            thin_columns(thin, (reading){CAIRN_DTYPE_F32, HAS_PAIRS ? FORM_PAIRED : FORM_ROUNDED},
                         j, columns);
    }
}
