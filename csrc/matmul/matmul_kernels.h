// SPDX-License-Identifier: Apache-2.0
/// What a product is once it is planned, and the kernels that each instruction set is built with.

#ifndef CAIRN_MATMUL_KERNELS_H
#define CAIRN_MATMUL_KERNELS_H

#include "cairn_types.h"

/// Where the accumulators of a run come from.
typedef enum cairn_run_start {
    CAIRN_START_ZERO,
    CAIRN_START_KEPT,  ///< What the block before kept.
    CAIRN_START_OPEN,  ///< `open` of the gradient.
} cairn_run_start;

/// Where the accumulators of a run go to.
typedef enum cairn_run_end {
    CAIRN_END_KEEP,   ///< Kept for the next block.
    CAIRN_END_STORE,  ///< C, through scale, bias and accumulation.
    CAIRN_END_ADD,    ///< Added to `sum` of the gradient.
    CAIRN_END_OPEN,   ///< `open` of the gradient.
} cairn_run_end;

/// A stretch of a block within which accumulators stay in registers.
typedef struct cairn_matmul_run {
    size_t begin;  ///< Position within the block.
    size_t count;
    cairn_run_start start;
    cairn_run_end end;
} cairn_matmul_run;

/// Positions begin ..< begin + count along k of one part, at most KC of them.
typedef struct cairn_matmul_block {
    size_t part;
    size_t begin, count;
    size_t first_run, run_count;
} cairn_matmul_block;

/// One product of the chain.
typedef struct cairn_matmul_part {
    cairn_matrix a, b;
    size_t k;
} cairn_matmul_part;

/// In an `order`: a row of zeros.
#define CAIRN_NO_ROW UINT32_MAX

/// A planned product. Its units, row_units * column_units, are the tiles of a parallel loop.
typedef struct cairn_matmul_plan {
    size_t m, n;
    cairn_matmul_part parts[2];
    bool rounds;            ///< Operands are rounded to bf16; positions along k go in pairs.
    const uint32_t *order;  ///< The row of A^T and B at each position along k, or null.
    const cairn_matmul_block *blocks;
    size_t block_count;
    /// A block that each tile takes right after the last one, its accumulators still in registers;
    /// or null. It stands behind the last block, and its run does nothing.
    const cairn_matmul_block *tail;
    const cairn_matmul_run *runs;
    size_t row_units, column_units;
    float *packed_a;   ///< A in words, block by block; or null, when units read A themselves.
    float *workspace;  ///< `workspace_floats` per worker.
    float scale;
    bool accumulate;
    const float *bias;
    float *c;
    size_t c_stride;
    cairn_gradient gradient;  ///< With the stride of C.
    /// A product of the same A whose C is the A of this plan's second part, or null: taken with the
    /// packing of A, while the rows are at hand. Its blocks are those of this plan's first part.
    const struct cairn_matmul_plan *narrow;
    float *panels;  ///< In a narrow product: its B, packed, block by block.
} cairn_matmul_plan;

/// A gradient with a narrow side; see matmul_thin.h. Of its plan it has the order, the runs, the
/// gradient, and as A and B of the first part S and X as they are stored.
typedef struct cairn_matmul_thin {
    const cairn_matmul_plan *plan;
    size_t run_count, positions;
    size_t rank, width;
    bool transposed;     ///< The gradient is [width, rank].
    size_t packed_rank;  ///< `rank`, up to a multiple of `thin_rows`.
    float *packed;       ///< S in words, [positions, packed_rank].
} cairn_matmul_thin;

typedef struct cairn_matmul_kernels {
    size_t mr, nr;       ///< The register tile.
    size_t kc;           ///< The longest block.
    size_t kc_bf16;      ///< The longest block when operands are rounded; even.
    size_t row_tiles;    ///< The most tiles along m of a unit.
    size_t column_tiles;  ///< The most tiles along n of a unit.
    size_t workspace_floats;
    size_t rows_per_pack;
    /// Whether a worker's memory holds two blocks together.
    bool (*holds)(const struct cairn_matmul_plan *plan, const cairn_matmul_block *first,
                  const cairn_matmul_block *second);
    void (*pack_panels)(const struct cairn_matmul_plan *narrow);  ///< Fills `panels`.
    /// Fills `packed_a`, and the C of a narrow product.
    void (*pack)(const void *plan, size_t tile, size_t worker);
    void (*unit)(const void *plan, size_t unit, size_t worker);  ///< A `cairn_task`.
    size_t thin_rows;     ///< Rows of S^T that are multiplied at a time.
    size_t thin_columns;  ///< Columns of X of a task.
    void (*pack_thin)(const cairn_matmul_thin *thin);              ///< Fills `packed`.
    void (*thin)(const void *thin, size_t task, size_t worker);    ///< A `cairn_task`.
} cairn_matmul_kernels;

/// The two instructions that a matmul of bf16 pairs rests on, sixteen words at a time.
typedef struct cairn_pair_operations {
    void (*multiply_add)(const float *a, const float *b, float *sum);
    void (*round)(const float *even, const float *odd, float *words);
} cairn_pair_operations;

#if defined(__x86_64__)
/// AVX512-BF16's.
extern const cairn_pair_operations cairn_pair_instructions;

/// Whether operations give the bits of the definition; runs on AVX-512 only.
bool cairn_pairs_are_exact(const cairn_pair_operations *subject);
#endif

#endif
