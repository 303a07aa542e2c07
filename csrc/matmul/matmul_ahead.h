// SPDX-License-Identifier: Apache-2.0
/// What a tile asks memory for on behalf of those after it.
///
/// Rows of an operand lie pages apart, so that no hardware follows from one to the next. Every tile
/// asks for an equal share of the packed block of A and of the panel of B that come next, into the
/// second-level cache: in the first level they would drive out what the tile itself reads.

/// A share of the panel at `source`: that of row tile `index` of `count` row tiles.
static lookahead share_of(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                          panel_source source, size_t index, size_t count) {
    const cairn_matrix *b = &plan->parts[block->part].b;
    if (b->transposed) {
        const size_t rows = (NR + count - 1) / count;
        // fp32 that is rounded to pairs has two lines to a chunk, halves that are widened a half.
        const size_t bytes = CHUNK * (block->count / words_of(plan, block)) * element_size(b->dtype);
        return (lookahead){(uintptr_t)source.data + index * rows * source.stride, source.stride, rows,
                           (bytes + LINE - 1) / LINE, bytes};
    }
    const size_t chunks = (words_of(plan, block) + CHUNK - 1) / CHUNK * count;
    const size_t rows = (block->count + chunks - 1) / chunks;
    const uintptr_t first = (uintptr_t)source.data + index * chunks / count * rows * source.stride;
    // Rows of a file's weights may lie across the lines.
    const size_t lines = (first % LINE + NR * element_size(b->dtype) + LINE - 1) / LINE;
    return (lookahead){first, source.stride, rows, lines, rows * source.stride};
}

/// One row tile of a column of a block.
typedef struct place {
    size_t block;
    size_t column;      ///< Tile of the unit.
    size_t row, rows;   ///< Tile of the packed block of A, and how many it has.
    size_t first;       ///< That block's first row tile of the unit.
} place;

/// A share of the rows of A that the unit reads after the packed block at hand: that of tile
/// `index` of `count`.
static lookahead share_of_a(const cairn_matmul_plan *plan, const unit_range *range,
                            const place *at, size_t index, size_t count) {
    size_t block = at->block, first = at->first + MC_TILES;
    if (first >= range->row_tiles) {
        block++;
        first = 0;
    }
    if (block == plan->block_count) return (lookahead){0};
    const cairn_matmul_block *next = &plan->blocks[block];
    const cairn_matrix *a = &plan->parts[next->part].a;
    const size_t left = range->row_tiles - first;
    const size_t rows = ((left < MC_TILES ? left : MC_TILES) * MR + count - 1) / count;
    const size_t row = (range->first_row_tile + first) * MR + index * rows, size = sizeof(float);
    if (a->transposed) return (lookahead){0};
    if (plan->packed_a) {
        const size_t stride = packed_stride(words_of(plan, next)) * size;
        return (lookahead){(uintptr_t)packed_rows(plan, next) + row * stride, stride, rows, 1, LINE};
    }
    if (!is_plain(plan, a)) return (lookahead){0};
    return (lookahead){(uintptr_t)a->data + (row * a->stride + next->begin) * size,
                       a->stride * size, rows, 1, LINE};
}

/// What is asked for while a tile is multiplied: shares of the block of A and of the panel of B
/// that come next.
static void choose_lookahead(const cairn_matmul_plan *plan, const unit_range *range,
                             const place *at, register_tile *t) {
    t->next_a = share_of_a(plan, range, at, at->column * at->rows + at->row,
                           range->column_tiles * at->rows);
    if (at->first > 0) return;
    size_t block = at->block, column = at->column + 1;
    if (column == range->column_tiles) {
        block++;
        column = 0;
    }
    if (block == plan->block_count || plan->blocks[block].count == 0) return;
    // What packing makes of codes is far larger than they are: they come in time.
    if (is_quantized(plan->parts[plan->blocks[block].part].b.dtype)) return;
    const panel_source source =
        source_of(plan, &plan->blocks[block], (range->first_column_tile + column) * NR);
    t->next_b = share_of(plan, &plan->blocks[block], source, at->row, at->rows);
}
