// SPDX-License-Identifier: Apache-2.0
/// Packing: operands of any type and orientation become fp32 panels, rounded and in k order.
///
/// With bf16 the elements along k go in pairs, the odd one first: element e of a block stands at
/// position e ^ 1. Blocks begin at even positions, and an odd end is filled up with a zero.

enum { ROWS_AHEAD = 16 };  // How far packing asks for rows: a memory latency.

typedef float v4 __attribute__((ext_vector_type(4)));
typedef float v4_unaligned __attribute__((ext_vector_type(4), aligned(4)));

/// How an operand is read; constants wherever it is passed, so that no loop asks.
typedef struct reading {
    cairn_dtype dtype;
    bool rounds;
} reading;

/// Elements index ..< index + count of an operand's storage, at most 16, rounded if need be.
CAIRN_INLINE v16 load_elements(const void *data, const reading how, size_t index, size_t count) {
    const v16 elements = count >= LANES ? v16_load_as(data, how.dtype, index)
                                        : v16_load_first_as(data, how.dtype, index, count);
    return how.rounds ? v16_round_bf16(elements) : elements;
}

/// Asks for an element that will be read soon; one behind the end is no error.
CAIRN_INLINE void prefetch_element(const void *data, const reading how, size_t index) {
    __builtin_prefetch((const char *)data + index * (how.dtype == CAIRN_DTYPE_F32 ? 4 : 2));
}

/// The stored row at a position along k, for operands whose stored rows run along k.
CAIRN_INLINE size_t row_at(const cairn_matmul_plan *plan, size_t k, size_t position) {
    if (plan->order) return plan->order[position];
    const size_t row = plan->rounds ? position ^ 1 : position;
    return row < k ? row : CAIRN_NO_ROW;
}

/// Rows of A into rows of KC.
CAIRN_INLINE void pack_a_rows(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                              const reading how, size_t i, size_t rows, float *packed) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const size_t inside = part->k - block->begin;
    for (size_t row = 0; row < rows; row++)
        for (size_t e = 0; e < block->count; e += LANES) {
            const size_t index = (i + row) * part->a.stride + block->begin + e;
            v16 x = load_elements(part->a.data, how, index, e < inside ? inside - e : 0);
            if (how.rounds)
                x = __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15,
                                            14);
            store_columns(packed + row * KC + e, x, block->count - e);
        }
}

/// A that is stored transposed: a line of A^T at a time into lines of MC.
CAIRN_INLINE void pack_a_columns(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                                 const reading how, size_t i, size_t rows, float *packed) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    for (size_t p = 0; p < block->count; p++) {
        const size_t row = row_at(plan, part->k, block->begin + p);
        const size_t index = row * part->a.stride + i;
        for (size_t e = 0; e < rows; e += LANES) {
            v16 x = v16_zero();
            if (row != CAIRN_NO_ROW) {
                prefetch_element(part->a.data, how, index + e + ROWS_AHEAD * part->a.stride);
                x = load_elements(part->a.data, how, index + e, rows - e);
            }
            v16_store(packed + p * MC + e, x);
        }
    }
}

/// B as it is stored: a row of B at a time into panels [k][NR].
CAIRN_INLINE void pack_b_rows(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                              const reading how, size_t j0, size_t tiles, float *packed) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const size_t columns = plan->n - j0 < tiles * NR ? plan->n - j0 : tiles * NR;
    for (size_t p = 0; p < block->count; p++) {
        const size_t row = row_at(plan, part->k, block->begin + p);
        const size_t index = row * part->b.stride + j0;
        for (size_t v = 0; v < tiles * NV; v++) {
            const size_t j = v * LANES;
            v16 x = v16_zero();
            if (row != CAIRN_NO_ROW && j < columns) {
                prefetch_element(part->b.data, how, index + j + ROWS_AHEAD * part->b.stride);
                x = load_elements(part->b.data, how, index + j, columns - j);
            }
            v16_store(packed + (v / NV * block->count + p) * NR + v % NV * LANES, x);
        }
    }
}

/// 4 x 16 elements, x[column] along k, transposed to four columns of a panel.
///
/// Two steps of a transpose of 4 x 4 blocks leave in group g of y[c] the four columns of element
/// 4 g + c, to be written at its position.
CAIRN_INLINE void store_transposed(const v16 x[4], float *panel, size_t e, size_t count,
                                   bool swaps) {
#define LOW(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH(a, b) \
    __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define EVEN(a, b) \
    __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define ODD(a, b) \
    __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
    const v16 low01 = LOW(x[0], x[1]), high01 = HIGH(x[0], x[1]);
    const v16 low23 = LOW(x[2], x[3]), high23 = HIGH(x[2], x[3]);
    const v16 y[4] = {EVEN(low01, low23), ODD(low01, low23), EVEN(high01, high23),
                      ODD(high01, high23)};
#undef LOW
#undef HIGH
#undef EVEN
#undef ODD
    const size_t flip = swaps ? 1 : 0;
    if (count >= LANES) {
#pragma clang loop unroll(full)
        for (size_t c = 0; c < 4; c++) {
            float *to = panel + ((e + c) ^ flip) * NR;
            *(v4_unaligned *)to = __builtin_shufflevector(y[c], y[c], 0, 1, 2, 3);
            *(v4_unaligned *)(to + 4 * NR) = __builtin_shufflevector(y[c], y[c], 4, 5, 6, 7);
            *(v4_unaligned *)(to + 8 * NR) = __builtin_shufflevector(y[c], y[c], 8, 9, 10, 11);
            *(v4_unaligned *)(to + 12 * NR) = __builtin_shufflevector(y[c], y[c], 12, 13, 14, 15);
        }
        return;
    }
    for (size_t lane = 0; lane < count; lane++) {
        float columns[LANES];
        v16_store(columns, y[lane % 4]);
        memcpy(panel + ((e + lane) ^ flip) * NR, columns + lane / 4 * 4, 4 * sizeof(float));
    }
}

/// B that is stored transposed: four columns at a time into panels [k][NR].
CAIRN_INLINE void pack_b_columns(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                                 const reading how, size_t j0, size_t tiles, float *packed) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const size_t inside = part->k - block->begin, stride = part->b.stride;
    for (size_t column = 0; column < tiles * NR; column += 4) {
        float *panel = packed + column / NR * NR * block->count + column % NR;
        for (size_t e = 0; e < block->count; e += LANES) {
            v16 x[4];
#pragma clang loop unroll(full)
            for (size_t c = 0; c < 4; c++) {
                const size_t j = j0 + column + c, index = j * stride + block->begin + e;
                x[c] = v16_zero();
                if (j >= plan->n) continue;
                prefetch_element(part->b.data, how, index + 4 * stride);
                x[c] = load_elements(part->b.data, how, index, e < inside ? inside - e : 0);
            }
            store_transposed(x, panel, e, block->count - e, how.rounds);
        }
    }
}

CAIRN_INLINE void pack_a_as(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                            const reading how, size_t i, size_t rows, float *packed) {
    if (plan->parts[block->part].a.transposed)
        pack_a_columns(plan, block, how, i, rows, packed);
    else
        pack_a_rows(plan, block, how, i, rows, packed);
}

CAIRN_INLINE void pack_b_as(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                            const reading how, size_t j0, size_t tiles, float *packed) {
    if (plan->parts[block->part].b.transposed)
        pack_b_columns(plan, block, how, j0, tiles, packed);
    else
        pack_b_rows(plan, block, how, j0, tiles, packed);
}

/// Calls `pack` with the constant reading of an operand.
#define PACK_AS(pack, operand, ...) \
    switch ((operand).dtype) { \
    case CAIRN_DTYPE_F32: \
        if (plan->rounds) \
            pack(plan, block, (reading){CAIRN_DTYPE_F32, true}, __VA_ARGS__); \
        else \
            pack(plan, block, (reading){CAIRN_DTYPE_F32, false}, __VA_ARGS__); \
        break; \
    case CAIRN_DTYPE_BF16: /* Rounded already, but k order and denormals are as for the rest. */ \
        if (plan->rounds) \
            pack(plan, block, (reading){CAIRN_DTYPE_BF16, true}, __VA_ARGS__); \
        else \
            pack(plan, block, (reading){CAIRN_DTYPE_BF16, false}, __VA_ARGS__); \
        break; \
    case CAIRN_DTYPE_F16: \
        if (plan->rounds) \
            pack(plan, block, (reading){CAIRN_DTYPE_F16, true}, __VA_ARGS__); \
        else \
            pack(plan, block, (reading){CAIRN_DTYPE_F16, false}, __VA_ARGS__); \
        break; \
    }

static void pack_a(const cairn_matmul_plan *plan, const cairn_matmul_block *block, size_t i,
                   size_t rows, float *packed) {
    PACK_AS(pack_a_as, plan->parts[block->part].a, i, rows, packed)
}

static void pack_b(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                   size_t first_tile, size_t tiles, float *packed) {
    PACK_AS(pack_b_as, plan->parts[block->part].b, first_tile * NR, tiles, packed)
}
#undef PACK_AS
