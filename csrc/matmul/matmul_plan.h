// SPDX-License-Identifier: Apache-2.0
/// How products are planned: k in blocks and C in units, and the memory for both.

#ifndef CAIRN_MATMUL_PLAN_H
#define CAIRN_MATMUL_PLAN_H

#include "core/core.h"

// Below this number of multiply-adds a second thread costs more than it brings.
enum { LEAST_SHARED_WORK = 1 << 15 };

// Units per thread: enough that a thread that was held up is relieved of its rest.
enum { UNITS_PER_THREAD = 2, MANY_UNITS_PER_THREAD = 8 };

// A group of threads with so many row tiles keeps to its rows: what a core has packed, read or
// written of them lies in its own caches, where fetching lines from another core, that may be far,
// costs as much as multiplying them. With fewer rows packing B for each group would cost more.
enum { LEAST_ROW_TILES = 8 };

static size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/// The number of positions along k: elements, filled up to pairs if they are rounded to bf16.
static size_t positions(const cairn_matmul_plan *plan, size_t k) {
    return plan->rounds ? k + k % 2 : k;
}

static size_t block_limit(const cairn_matmul_plan *plan, const cairn_matmul_kernels *kernels) {
    return plan->rounds ? kernels->kc_bf16 : kernels->kc;
}

/// The least number of equal column cuts, at least `least` and a multiple of the threads, with two
/// tiles each, so that one panel is fetched while another is multiplied; 0 if there is none.
static size_t even_columns(size_t column_tiles, size_t least, size_t threads) {
    for (size_t columns = least; 2 * columns <= column_tiles; columns++)
        if (column_tiles % columns == 0 && columns % threads == 0) return columns;
    return 0;
}

/// The most groups of threads that have rows of their own, enough for packing B again in each.
static size_t row_groups(size_t row_tiles, size_t threads) {
    size_t groups = threads;
    while (threads % groups != 0 || row_tiles < LEAST_ROW_TILES * groups)
        if (--groups <= 1) return 1;
    return groups;
}

/// Cuts C into units of about equal work, a multiple of the threads unless there are many.
static void choose_units(cairn_matmul_plan *plan, const cairn_matmul_kernels *kernels,
                         size_t threads, size_t k) {
    const size_t row_tiles = divide_up(plan->m, kernels->mr);
    const size_t column_tiles = divide_up(plan->n, kernels->nr);
    size_t rows = divide_up(row_tiles, kernels->row_tiles);
    size_t columns = divide_up(column_tiles, kernels->column_tiles);
    const double work = (double)plan->m * (double)plan->n * (double)k;
    const bool is_shared = threads > 1 && work >= LEAST_SHARED_WORK;
    const size_t groups =
        is_shared && !plan->parts[0].a.transposed ? row_groups(row_tiles, threads) : 1;
    if (groups > 1) {
        const size_t team = threads / groups, even = divide_up(columns, team) * team;
        plan->row_units = divide_up(rows, groups) * groups;
        plan->column_units = even <= column_tiles ? even : columns;
        return;
    }
    // Units that read the same rows of A as they lie, or packed once, repeat nothing.
    const size_t least = divide_up(UNITS_PER_THREAD * threads, rows);
    const size_t even = is_shared && !plan->parts[0].a.transposed && columns < least
                            ? even_columns(column_tiles, least, threads)
                            : 0;
    if (even > 0) {
        columns = even;
    } else if (is_shared) {
        // A cut between columns repeats no packing of B; one between rows does, so rows are cut
        // only when a unit has few columns left.
        while (rows * columns < UNITS_PER_THREAD * threads) {
            if (column_tiles >= 8 * columns)
                columns++;
            else if (row_tiles >= 8 * rows)
                rows++;
            else if (column_tiles > columns)
                columns++;
            else if (row_tiles > rows)
                rows++;
            else
                break;
        }
        if (rows * columns < MANY_UNITS_PER_THREAD * threads) {
            const size_t even = divide_up(columns, threads) * threads;
            if (rows % threads != 0 && even <= column_tiles) columns = even;
        }
    }
    plan->row_units = rows;
    plan->column_units = columns;
}

/// The blocks and runs of a plan while they are written.
typedef struct writer {
    cairn_matmul_block *blocks;
    cairn_matmul_run *runs;
    size_t block_count, run_count;
} writer;

static void add_run(writer *writer, cairn_matmul_run run) {
    writer->runs[writer->run_count++] = run;
    writer->blocks[writer->block_count - 1].run_count++;
}

static void add_block(writer *writer, size_t part, size_t begin, size_t count) {
    writer->blocks[writer->block_count++] = (cairn_matmul_block){
        .part = part, .begin = begin, .count = count, .first_run = writer->run_count};
}

/// The length of `blocks` even blocks of `count` positions: whole vectors of 16 words, so also
/// pairs.
static size_t block_length(const cairn_matmul_plan *plan, size_t count, size_t blocks) {
    const size_t vector = plan->rounds ? 32 : 16;
    return divide_up(divide_up(count, blocks), vector) * vector;
}

/// Memory for a plan's arrays and workspaces, all in the scratch memory of the context.
static bool allocate(cairn_context *context, cairn_matmul_plan *plan, writer *writer,
                     size_t blocks, size_t runs, size_t order, size_t packed_bytes) {
    const size_t line = 64;
    const size_t block_bytes = divide_up(blocks * sizeof *writer->blocks, line) * line;
    const size_t run_bytes = divide_up(runs * sizeof *writer->runs, line) * line;
    const size_t order_bytes = divide_up(order * sizeof *plan->order, line) * line;
    const size_t work_bytes =
        context->threads * context->kernels->matmul->workspace_floats * sizeof(float);
    const size_t plan_bytes = block_bytes + run_bytes + order_bytes;
    char *memory = cairn_scratch(context, work_bytes + plan_bytes + packed_bytes);
    if (!memory) return false;
    plan->packed_a = packed_bytes ? (float *)(memory + work_bytes + plan_bytes) : NULL;
    plan->workspace = (float *)memory;
    writer->blocks = (cairn_matmul_block *)(memory + work_bytes);
    writer->runs = (cairn_matmul_run *)(memory + work_bytes + block_bytes);
    plan->order = order ? (uint32_t *)(memory + work_bytes + block_bytes + run_bytes) : NULL;
    return true;
}

static void run_plan(cairn_context *context, cairn_matmul_plan *plan, const writer *writer) {
    const cairn_matmul_kernels *kernels = context->kernels->matmul;
    plan->blocks = writer->blocks;
    plan->block_count = writer->block_count;
    plan->runs = writer->runs;
    if (plan->narrow) kernels->pack_panels(plan->narrow);
    if (plan->packed_a || plan->narrow)
        cairn_parallel(context, divide_up(plan->m, kernels->rows_per_pack), kernels->pack, plan);
    cairn_parallel(context, plan->row_units * plan->column_units, kernels->unit, plan);
}

#endif
