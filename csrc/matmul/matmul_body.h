// SPDX-License-Identifier: Apache-2.0
/// The matmul kernels, written once; every build_*.c includes this file under its own target.
///
/// A unit is a rectangle of C, and one worker takes it along all of k, block by block: it packs a
/// block of B into panels [k][NR], reads or packs A, and lets the micro-kernel take one register
/// tile at a time. Between blocks the accumulators are kept in fp32, so an element of C is one chain
/// of fused multiply-adds, and no constant below can change its bits.

#include "matmul/matmul_sizes.h"
#include "matmul/matmul_pairs.h"
#include "matmul/matmul_tile.h"
#include "matmul/matmul_transpose.h"

#include "matmul/matmul_pack.h"

/// How a unit reads an operand: tile t begins at data + t * tile_stride; `step` leads one position
/// on along k and, in A, `row_stride` one row down.
typedef struct operand_view {
    const float *data;
    size_t tile_stride, row_stride, step;
} operand_view;

/// A rectangle of C in units of register tiles, and the worker's memory for it.
typedef struct unit_range {
    size_t first_row_tile, row_tiles;
    size_t first_column_tile, column_tiles;
    float *packed_a, *packed_b, *kept;
} unit_range;

static unit_range unit_range_of(const cairn_matmul_plan *plan, size_t unit, size_t worker) {
    const size_t row_tiles = (plan->m + MR - 1) / MR, column_tiles = (plan->n + NR - 1) / NR;
    const size_t row = unit % plan->row_units, column = unit / plan->row_units;
    const size_t i0 = row * row_tiles / plan->row_units;
    const size_t i1 = (row + 1) * row_tiles / plan->row_units;
    const size_t j0 = column * column_tiles / plan->column_units;
    const size_t j1 = (column + 1) * column_tiles / plan->column_units;
    float *memory = plan->workspace + worker * WORKSPACE_FLOATS;
    return (unit_range){i0, i1 - i0, j0, j1 - j0, memory, memory + PACKED_A_FLOATS,
                        memory + PACKED_A_FLOATS + PACKED_B_FLOATS};
}

/// The words along k of a block.
static size_t words_of(const cairn_matmul_plan *plan, const cairn_matmul_block *block) {
    return HAS_PAIRS && plan->rounds ? block->count / 2 : block->count;
}

/// Whether the micro-kernel can read an operand as it lies.
static bool is_plain(const cairn_matmul_plan *plan, const cairn_matrix *x) {
    return x->dtype == CAIRN_DTYPE_F32 && !plan->rounds;
}

/// Rows i ..< i + rows of A along a block. Packing lines of A^T pays when several column tiles
/// read them, packing plain rows never.
static operand_view view_a(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                           size_t i, size_t rows, size_t column_tiles, float *packed) {
    const cairn_matrix *a = &plan->parts[block->part].a;
    const float *data = a->data;
    if (a->transposed) {
        if (is_plain(plan, a) && column_tiles < LEAST_TILES_TO_PACK)
            return (operand_view){data + block->begin * a->stride + i, MR, 1, a->stride};
        pack_a(plan, block, i, rows, packed);
        return (operand_view){packed, MR, 1, MC};
    }
    if (is_plain(plan, a))
        return (operand_view){data + i * a->stride + block->begin, MR * a->stride, a->stride, 1};
    pack_a(plan, block, i, rows, packed);
    return (operand_view){packed, MR * KC, KC, 1};
}

/// The columns of B that a unit reads along a block. Packing pays when several row tiles read them.
static operand_view view_b(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                           const unit_range *range) {
    const cairn_matrix *b = &plan->parts[block->part].b;
    const size_t j = range->first_column_tile * NR;
    if (is_plain(plan, b) && !b->transposed && range->row_tiles < LEAST_TILES_TO_PACK &&
        j + range->column_tiles * NR <= plan->n)
        return (operand_view){(const float *)b->data + block->begin * b->stride + j, NR, 0,
                              b->stride};
    pack_b(plan, block, range->first_column_tile, range->column_tiles, range->packed_b);
    return (operand_view){range->packed_b, NR * words_of(plan, block), 0, NR};
}

static void matmul_block(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                         const unit_range *range) {
    const operand_view b = view_b(plan, block, range);
    for (size_t first = 0; first < range->row_tiles; first += MC_TILES) {
        const size_t left = range->row_tiles - first;
        const size_t tiles = left < MC_TILES ? left : MC_TILES;
        const size_t i0 = (range->first_row_tile + first) * MR;
        const size_t rows = plan->m - i0 < tiles * MR ? plan->m - i0 : tiles * MR;
        const operand_view a =
            view_a(plan, block, i0, rows, range->column_tiles, range->packed_a);
        for (size_t column = 0; column < range->column_tiles; column++)
            for (size_t row = 0; row < tiles; row++) {
                const size_t kept = (first + row) * range->column_tiles + column;
                const register_tile t = {
                    .runs = plan->runs + block->first_run,
                    .run_count = block->run_count,
                    .a = a.data + row * a.tile_stride,
                    .row_stride = a.row_stride,
                    .a_step = a.step,
                    .b = b.data + column * b.tile_stride,
                    .b_step = b.step,
                    .kept = range->kept + kept * MR * NR,
                    .i = i0 + row * MR,
                    .j = (range->first_column_tile + column) * NR,
                };
                const size_t rows_left = rows - row * MR;
                matmul_tile(plan, &t, rows_left < MR ? rows_left : MR);
            }
    }
}

static void matmul_unit(const void *arguments, size_t unit, size_t worker) {
    const cairn_matmul_plan *plan = arguments;
    const unit_range range = unit_range_of(plan, unit, worker);
    for (size_t i = 0; i < plan->block_count; i++) matmul_block(plan, &plan->blocks[i], &range);
}

static const cairn_matmul_kernels matmul_kernels = {
    .mr = MR,
    .nr = NR,
    .kc = KC,
    .kc_bf16 = HAS_PAIRS ? 2 * KC : KC,
    .row_tiles = ROW_TILES,
    .column_tiles = COLUMN_TILES,
    .workspace_floats = WORKSPACE_FLOATS,
    .unit = matmul_unit,
};
