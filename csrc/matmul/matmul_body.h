// SPDX-License-Identifier: Apache-2.0
/// The matmul kernels, written once; every build_*.c includes this file under its own target.
///
/// A unit is a rectangle of C, and one worker takes it along all of k, block by block: it packs a
/// block of B into panels [k][NR], reads or packs A, and lets the micro-kernel take one register
/// tile at a time. Between blocks the accumulators are kept in fp32, so an element of C is one chain
/// of fused multiply-adds, and no constant below can change its bits.

#include "matmul/matmul_sizes.h"
#include "matmul/matmul_pairs.h"
#include "matmul/matmul_result.h"
#include "matmul/matmul_tile.h"
#include "matmul/matmul_transpose.h"

#include "matmul/matmul_pack.h"

#include "matmul/matmul_first.h"

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
    const size_t row = unit / plan->column_units, column = unit % plan->column_units;
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

/// The words from one packed row of A to the next: an odd number of cache lines, so that the rows
/// of a tile do not meet in the same few sets of a cache.
static size_t packed_stride(size_t words) { return ((words + LANES - 1) / LANES | 1) * LANES; }

static bool matmul_holds(const cairn_matmul_plan *plan, const cairn_matmul_block *first,
                         const cairn_matmul_block *second) {
    const size_t m = words_of(plan, first), n = words_of(plan, second);
    return m + n <= KC && packed_stride(m) + packed_stride(n) <= KC + LANES;
}

/// Whether the micro-kernel can read an operand as it lies.
static bool is_plain(const cairn_matmul_plan *plan, const cairn_matrix *x) {
    return x->dtype == CAIRN_DTYPE_F32 && !plan->rounds;
}

/// The rows of a block in `packed_a`, which has the blocks one after the other.
static float *packed_rows(const cairn_matmul_plan *plan, const cairn_matmul_block *block) {
    size_t words = 0;
    for (const cairn_matmul_block *b = plan->blocks; b < block; b++)
        words += packed_stride(words_of(plan, b));
    return plan->packed_a + plan->m * words;
}

/// Packs rows of A along the blocks of a part: each row from its first element to its last, for what
/// the hardware fetches ahead of a long line comes at twice the rate of its pieces.
static void pack_part(const cairn_matmul_plan *plan, size_t part, size_t i, size_t rows) {
    if (plan->parts[part].a.transposed) return;
    const size_t blocks = plan->block_count + (plan->tail ? 1 : 0);
    size_t first = 0, end = blocks;
    while (first < end && plan->blocks[first].part < part) first++;
    while (first < end && plan->blocks[end - 1].part > part) end--;
    const size_t at_once = end - first > 1 ? 1 : rows;
    for (size_t row = i; row < i + rows; row += at_once)
        for (size_t b = first; b < end; b++) {
            const cairn_matmul_block *block = &plan->blocks[b];
            const size_t stride = packed_stride(words_of(plan, block));
            pack_a(plan, block, row, at_once, packed_rows(plan, block) + row * stride, stride);
        }
}

/// The tiles of a narrow product that lie in rows i ..< i + rows.
static void multiply_narrow(const cairn_matmul_plan *plan, size_t i, size_t rows) {
    const cairn_matmul_plan *narrow = plan->narrow;
    const size_t tiles = (narrow->n + NR - 1) / NR;
    float kept[MR * NR];
    for (size_t column = 0; column < tiles; column++)
        for (size_t row = 0; row < rows; row += MR) {
            const float *panels = narrow->panels;
            for (size_t b = 0; b < narrow->block_count; b++) {
                const cairn_matmul_block *block = &narrow->blocks[b];
                const size_t words = words_of(narrow, block), at = i + row;
                const cairn_matrix *a = &narrow->parts[0].a;
                const size_t stride = plan->packed_a ? packed_stride(words) : a->stride;
                const register_tile t = {
                    .runs = narrow->runs + b,
                    .run_count = 1,
                    .a = plan->packed_a ? packed_rows(plan, block) + at * stride
                                        : (const float *)a->data + at * stride + block->begin,
                    .row_stride = stride,
                    .a_step = 1,
                    .b = panels + column * words * NR,
                    .b_step = NR,
                    .kept = kept,
                    .i = at,
                    .j = column * NR,
                };
                matmul_tile(narrow, &t, rows - row < MR ? rows - row : MR);
                panels += tiles * words * NR;
            }
        }
}

static void matmul_pack_panels(const cairn_matmul_plan *narrow) {
    const size_t tiles = (narrow->n + NR - 1) / NR;
    float *panels = narrow->panels;
    for (size_t b = 0; b < narrow->block_count; b++) {
        const cairn_matmul_block *block = &narrow->blocks[b];
        pack_b(narrow, block, 0, tiles, panels);
        panels += tiles * words_of(narrow, block) * NR;
    }
}

/// Packs ROWS_PER_PACK rows of A along all blocks, and multiplies them where a narrow product does.
static void matmul_pack(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const cairn_matmul_plan *plan = arguments;
    const size_t i = tile * ROWS_PER_PACK;
    const size_t rows = plan->m - i < ROWS_PER_PACK ? plan->m - i : ROWS_PER_PACK;
    if (plan->packed_a) pack_part(plan, 0, i, rows);
    if (plan->narrow) multiply_narrow(plan, i, rows);
    if (plan->packed_a) pack_part(plan, 1, i, rows);
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
        pack_a(plan, block, i, rows, packed, 0);
        return (operand_view){packed, MR, 1, MC};
    }
    if (plan->packed_a) {
        const size_t stride = packed_stride(words_of(plan, block));
        return (operand_view){packed_rows(plan, block) + i * stride, MR * stride, stride, 1};
    }
    if (is_plain(plan, a))
        return (operand_view){data + i * a->stride + block->begin, MR * a->stride, a->stride, 1};
    const size_t stride = packed_stride(words_of(plan, block));
    pack_a(plan, block, i, rows, packed, stride);
    return (operand_view){packed, MR * stride, stride, 1};
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
    return (operand_view){range->packed_b, NR * words_of(plan, block), 0, NR};
}

/// Where a tile's columns of B lie along a block.
static panel_source source_of(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                              size_t j) {
    const cairn_matrix *b = &plan->parts[block->part].b;
    const size_t size = element_size(b->dtype);
    const size_t first = b->transposed ? j * b->stride + block->begin : block->begin * b->stride + j;
    return (panel_source){b->transposed, b->dtype, (const char *)b->data + first * size,
                          b->stride * size};
}

/// Whether the first tile can pack its panel: whole tiles and chunks of numbers.
static bool can_pack_in_tile(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                             const register_tile *t, size_t rows) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const bool is_whole = rows == MR && t->j + NR <= plan->n && t->a_step == 1 &&
                          block->begin + block->count <= part->k && block->run_count == 1 &&
                          words_of(plan, block) % CHUNK == 0 && !plan->order;
    return is_whole && !is_quantized(part->b.dtype) && (HAS_PAIRS || !plan->rounds);
}

#include "matmul/matmul_ahead.h"

static void matmul_block(const cairn_matmul_plan *plan, size_t index, const unit_range *range) {
    const cairn_matmul_block *block = &plan->blocks[index];
    const operand_view b = view_b(plan, block, range);
    const bool is_kept = plan->block_count > 1;
    const cairn_matmul_block *tail = index + 1 == plan->block_count ? plan->tail : NULL;
    const size_t tail_words = tail ? words_of(plan, tail) : 0;
    float *tail_b = range->packed_b + range->column_tiles * NR * words_of(plan, block);
    float *tail_packed = range->packed_a + MC * packed_stride(words_of(plan, block));
    for (size_t first = 0; first < range->row_tiles; first += MC_TILES) {
        const size_t left = range->row_tiles - first;
        const size_t tiles = left < MC_TILES ? left : MC_TILES;
        const size_t i0 = (range->first_row_tile + first) * MR;
        const size_t rows = plan->m - i0 < tiles * MR ? plan->m - i0 : tiles * MR;
        const operand_view a =
            view_a(plan, block, i0, rows, range->column_tiles, range->packed_a);
        operand_view tail_a = {0};
        if (tail) tail_a = view_a(plan, tail, i0, rows, range->column_tiles, tail_packed);
        for (size_t column = 0; column < range->column_tiles; column++)
            for (size_t row = 0; row < tiles; row++) {
                const size_t kept =
                    is_kept ? (first + row) * range->column_tiles + column : 0;
                register_tile t = {
                    .runs = plan->runs + block->first_run,
                    .run_count = block->run_count,
                    .a = a.data + row * a.tile_stride,
                    .row_stride = a.row_stride,
                    .a_step = a.step,
                    .b = b.data + column * b.tile_stride,
                    .b_step = b.step,
                    .kept = range->kept + kept * MR * NR,
                    .tail_a = tail_a.data + row * tail_a.tile_stride,
                    .tail_b = tail_b + column * tail_words * NR,
                    .tail_stride = tail_a.row_stride,
                    .tail_words = tail_words,
                    .i = i0 + row * MR,
                    .j = (range->first_column_tile + column) * NR,
                };
                const place at = {index, column, row, tiles, first};
                choose_lookahead(plan, range, &at, &t);
                const size_t tile_rows = rows - row * MR < MR ? rows - row * MR : MR;
                if (first + row == 0 && tail)
                    pack_b(plan, tail, range->first_column_tile + column, 1,
                           tail_b + column * tail_words * NR);
                if (first + row == 0 && b.data == range->packed_b) {
                    float *panel = range->packed_b + column * b.tile_stride;
                    if (can_pack_in_tile(plan, block, &t, tile_rows)) {
                        const panel_source source = source_of(plan, block, t.j);
                        matmul_first_tile(plan, &t, &source, panel, words_of(plan, block));
                        continue;
                    }
                    pack_b(plan, block, range->first_column_tile + column, 1, panel);
                }
                matmul_tile(plan, &t, tile_rows);
            }
    }
}

static void matmul_unit(const void *arguments, size_t unit, size_t worker) {
    const cairn_matmul_plan *plan = arguments;
    const unit_range range = unit_range_of(plan, unit, worker);
    for (size_t i = 0; i < plan->block_count; i++) matmul_block(plan, i, &range);
}

#include "matmul/matmul_thin.h"

static const cairn_matmul_kernels matmul_kernels = {
    .mr = MR,
    .nr = NR,
    .kc = KC,
    .kc_bf16 = HAS_PAIRS ? 2 * KC : KC,
    .row_tiles = ROW_TILES,
    .column_tiles = COLUMN_TILES,
    .workspace_floats = WORKSPACE_FLOATS,
    .rows_per_pack = ROWS_PER_PACK,
    .holds = matmul_holds,
    .pack_panels = matmul_pack_panels,
    .pack = matmul_pack,
    .unit = matmul_unit,
    .thin_rows = THIN,
    .thin_columns = THIN_TASK,
    .pack_thin = matmul_pack_thin,
    .thin = matmul_thin,
};
