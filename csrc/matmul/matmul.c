// SPDX-License-Identifier: Apache-2.0
/// Matrix products: entry points. They cut k into blocks and C into units, and run the units.

#include "core/core.h"

// Below this number of multiply-adds a second thread costs more than it brings.
enum { LEAST_SHARED_WORK = 1 << 15 };

// Units per thread: enough that a thread that was held up is relieved of its rest.
enum { UNITS_PER_THREAD = 2, MANY_UNITS_PER_THREAD = 8 };

// A that is packed once stays in a last-level cache; longer products go in pieces of rows. 6 MB
// are as many rows of 4864 pairs as a unit has, so that pieces repeat no packing of B.
// CAIRN_TEST_SHORT_PIECES makes small products go in pieces.
#if defined(CAIRN_TEST_SHORT_PIECES)
enum { MOST_PACKED_BYTES = 1 << 11 };
#else
enum { MOST_PACKED_BYTES = 6 << 20 };
#endif

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

/// Cuts C into units of about equal work, a multiple of the threads unless there are many.
static void choose_units(cairn_matmul_plan *plan, const cairn_matmul_kernels *kernels,
                         size_t threads, size_t k) {
    const size_t row_tiles = divide_up(plan->m, kernels->mr);
    const size_t column_tiles = divide_up(plan->n, kernels->nr);
    size_t rows = divide_up(row_tiles, kernels->row_tiles);
    size_t columns = divide_up(column_tiles, kernels->column_tiles);
    const double work = (double)plan->m * (double)plan->n * (double)k;
    const bool is_shared = threads > 1 && work >= LEAST_SHARED_WORK;
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
    if (plan->packed_a)
        cairn_parallel(context, divide_up(plan->m, kernels->rows_per_pack), kernels->pack, plan);
    cairn_parallel(context, plan->row_units * plan->column_units, kernels->unit, plan);
}

/// The most bytes of a row of A, packed: a line more for each block.
static size_t packed_row_bytes(const cairn_matmul_plan *plan, const cairn_matmul_kernels *kernels,
                               size_t blocks) {
    const size_t count = positions(plan, plan->parts[0].k) + positions(plan, plan->parts[1].k);
    const size_t words = count / (plan->rounds ? kernels->kc_bf16 / kernels->kc : 1);
    return (words + blocks * 2 * 16) * sizeof(float);
}

/// Whether A is packed once for all units, and not by each. It pays as soon as two units
/// would round the same rows; rows of fp32 are read as they lie.
static bool packs_once(const cairn_matmul_plan *plan) {
    const cairn_matrix *a = &plan->parts[0].a;
    if (a->transposed || plan->column_units < 2) return false;
    return plan->rounds || a->dtype != CAIRN_DTYPE_F32;
}

/// Rows of the product from i on: where their A and C lie.
static cairn_matmul_plan rows_of_plan(const cairn_matmul_plan *whole, size_t i, size_t rows) {
    cairn_matmul_plan plan = *whole;
    plan.m = rows;
    plan.c += i * plan.c_stride;
    for (size_t part = 0; part < 2; part++) {
        cairn_matrix *a = &plan.parts[part].a;
        const size_t size = a->dtype == CAIRN_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
        if (plan.parts[part].k > 0)
            a->data = (const char *)a->data + (a->transposed ? i : i * a->stride) * size;
    }
    return plan;
}

static void add_part(writer *writer, const cairn_matmul_plan *plan, size_t part, size_t kc) {
    const size_t count = positions(plan, plan->parts[part].k);
    if (count == 0) return;
    const size_t length = block_length(plan, count, divide_up(count, kc));
    for (size_t begin = 0; begin < count; begin += length) {
        const size_t left = count - begin;
        add_block(writer, part, begin, left < length ? left : length);
        add_run(writer, (cairn_matmul_run){
                            .count = left < length ? left : length,
                            .start = writer->run_count ? CAIRN_START_KEPT : CAIRN_START_ZERO,
                            .end = CAIRN_END_KEEP});
    }
}

/// Takes a short second product for the tail of the last block of the first: LoRA's rank is a few
/// words, for which the accumulators need not go to memory and back.
static void add_tail(writer *writer, cairn_matmul_plan *plan,
                     const cairn_matmul_kernels *kernels) {
    if (writer->block_count < 2) return;
    const cairn_matmul_block *last = &writer->blocks[writer->block_count - 1];
    if (last->part != 1 || last[-1].part != 0 || plan->parts[0].a.transposed ||
        plan->parts[1].a.transposed || !kernels->holds(plan, last - 1, last))
        return;
    plan->tail = last;
    writer->block_count--;
    writer->run_count--;
}

cairn_status cairn_matmul(cairn_context *context, const cairn_matmul_config *config, size_t m,
                          size_t n, size_t k, const cairn_matrix *a, const cairn_matrix *b,
                          size_t k2, const cairn_matrix *a2, const cairn_matrix *b2,
                          const float *bias, float *c, size_t c_stride) {
    if (m == 0 || n == 0) return CAIRN_STATUS_OK;
    if (k2 != 0 && (!a2 || !b2)) return CAIRN_STATUS_INVALID_ARGUMENT;
    // Codes have no rows of A that a piece could begin at.
    if (a->dtype > CAIRN_DTYPE_F16 || (k2 != 0 && a2->dtype > CAIRN_DTYPE_F16))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const cairn_matmul_kernels *kernels = context->kernels->matmul;
    cairn_matmul_plan plan = {
        .m = m,
        .n = n,
        .parts = {{.a = *a, .b = *b, .k = k}},
        .rounds = config->precision == CAIRN_PRECISION_BF16,
        .scale = config->scale,
        .accumulate = config->accumulate,
        .bias = bias,
        .c = c,
        .c_stride = c_stride,
    };
    if (k2 != 0) plan.parts[1] = (cairn_matmul_part){.a = *a2, .b = *b2, .k = k2};
    choose_units(&plan, kernels, context->threads, k + k2);
    const size_t kc = block_limit(&plan, kernels);
    const size_t blocks = divide_up(k + 1, kc) + divide_up(k2 + 1, kc) + 1;
    const size_t row_bytes = packs_once(&plan) ? packed_row_bytes(&plan, kernels, blocks) : 0;
    const size_t most = row_bytes > 0 ? MOST_PACKED_BYTES / row_bytes : m;
    const size_t rows = most >= m ? m : divide_up(m, divide_up(m, most > 0 ? most : 1));
    writer writer = {0};
    if (!allocate(context, &plan, &writer, blocks, blocks, 0, rows * row_bytes))
        return CAIRN_STATUS_OUT_OF_MEMORY;
    add_part(&writer, &plan, 0, kc);
    add_part(&writer, &plan, 1, kc);
    add_tail(&writer, &plan, kernels);
    if (writer.run_count == 0) {
        add_block(&writer, 0, 0, 0);
        add_run(&writer, (cairn_matmul_run){.start = CAIRN_START_ZERO});
    }
    writer.runs[writer.run_count - 1].end = CAIRN_END_STORE;
    for (size_t i = 0; i < m; i += rows) {
        cairn_matmul_plan piece = rows_of_plan(&plan, i, m - i < rows ? m - i : rows);
        if (rows < m) choose_units(&piece, kernels, context->threads, k + k2);
        run_plan(context, &piece, &writer);
    }
    return CAIRN_STATUS_OK;
}

/// The positions that the sequences first ..< end take along k.
static size_t sequence_positions(const cairn_matmul_plan *plan, const cairn_partition *partition,
                                 size_t first, size_t end) {
    if (!plan->rounds) return partition->offsets[end] - partition->offsets[first];
    size_t count = 0;
    for (size_t s = first; s < end; s++)
        count += positions(plan, partition->offsets[s + 1] - partition->offsets[s]);
    return count;
}

/// The row at each position: pairs within each sequence, the odd one first, zeros for a missing one.
static void write_order(uint32_t *order, const cairn_partition *partition) {
    for (size_t s = 0; s < partition->sequence_count; s++) {
        const uint32_t end = partition->offsets[s + 1];
        for (uint32_t row = partition->offsets[s]; row < end; row += 2) {
            *order++ = end - row > 1 ? row + 1 : CAIRN_NO_ROW;
            *order++ = row;
        }
    }
}

/// Runs along each group, cut where blocks of `length` positions end.
static void add_groups(writer *writer, const cairn_matmul_plan *plan,
                       const cairn_partition *partition, size_t total, size_t length) {
    size_t block = 0, position = 0;
    add_block(writer, 0, 0, total < length ? total : length);
    for (size_t g = 0; g < partition->group_count; g++) {
        const bool is_last = g + 1 == partition->group_count;
        const size_t group_end =
            position +
            sequence_positions(plan, partition, partition->groups[g], partition->groups[g + 1]);
        cairn_run_start start =
            g == 0 && partition->resumes ? CAIRN_START_OPEN : CAIRN_START_ZERO;
        for (; group_end > block + length; start = CAIRN_START_KEPT) {
            add_run(writer, (cairn_matmul_run){.begin = position - block,
                                               .count = block + length - position,
                                               .start = start,
                                               .end = CAIRN_END_KEEP});
            position = block += length;
            add_block(writer, 0, block, total - block < length ? total - block : length);
        }
        add_run(writer, (cairn_matmul_run){
                            .begin = position - block,
                            .count = group_end - position,
                            .start = start,
                            .end = is_last && partition->suspends ? CAIRN_END_OPEN : CAIRN_END_ADD});
        position = group_end;
    }
}

cairn_status cairn_matmul_gradient(cairn_context *context, cairn_precision precision,
                                   const cairn_partition *partition, size_t out, size_t in,
                                   const float *dy, const float *x, cairn_gradient gradient) {
    if (out == 0 || in == 0 || partition->group_count == 0) return CAIRN_STATUS_OK;
    const cairn_matmul_kernels *kernels = context->kernels->matmul;
    const size_t rows = partition->offsets[partition->sequence_count];
    cairn_matmul_plan plan = {
        .m = out,
        .n = in,
        .parts = {{.a = {dy, CAIRN_DTYPE_F32, out, true},
                   .b = {x, CAIRN_DTYPE_F32, in, false},
                   .k = rows}},
        .rounds = precision == CAIRN_PRECISION_BF16,
        .c_stride = in,
        .gradient = gradient,
    };
    const size_t total = sequence_positions(&plan, partition, 0, partition->sequence_count);
    const size_t blocks = total == 0 ? 1 : divide_up(total, block_limit(&plan, kernels));
    const size_t length = total == 0 ? 1 : block_length(&plan, total, blocks);
    writer writer = {0};
    if (!allocate(context, &plan, &writer, blocks, blocks + partition->group_count,
                  plan.rounds ? total : 0, 0))
        return CAIRN_STATUS_OUT_OF_MEMORY;
    if (plan.order) write_order((uint32_t *)plan.order, partition);
    add_groups(&writer, &plan, partition, total, length);
    choose_units(&plan, kernels, context->threads, total);
    run_plan(context, &plan, &writer);
    return CAIRN_STATUS_OK;
}
