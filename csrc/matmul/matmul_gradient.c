// SPDX-License-Identifier: Apache-2.0
/// Gradients of weights: products along the rows of a micro-batch, group by group.

#include "matmul/matmul_plan.h"

// A rank up to which rounding the other side again for every few rows of it costs less than packing.
enum { THIN_RANK = 32 };

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

/// A gradient of which a side is at most THIN_RANK.
static cairn_status thin_gradient(cairn_context *context, cairn_matmul_plan *plan,
                                  const cairn_partition *partition, size_t total) {
    const cairn_matmul_kernels *kernels = context->kernels->matmul;
    const bool transposed = plan->m > plan->n;
    const size_t rank = transposed ? plan->n : plan->m, width = transposed ? plan->m : plan->n;
    const size_t packed_rank = divide_up(rank, kernels->thin_rows) * kernels->thin_rows;
    cairn_matmul_part *part = &plan->parts[0];
    part->a.transposed = false;
    if (transposed) {
        const cairn_matrix narrow = part->b;
        part->b = part->a;
        part->a = narrow;
    }
    writer writer = {0};
    if (!allocate(context, plan, &writer, 1, 1 + partition->group_count, plan->rounds ? total : 0,
                  total * packed_rank * sizeof(float)))
        return CAIRN_STATUS_OUT_OF_MEMORY;
    if (plan->order) write_order((uint32_t *)plan->order, partition);
    add_groups(&writer, plan, partition, total, total > 0 ? total : 1);
    plan->runs = writer.runs;
    const cairn_matmul_thin thin = {
        .plan = plan,
        .run_count = writer.run_count,
        .positions = total,
        .rank = rank,
        .width = width,
        .transposed = transposed,
        .packed_rank = packed_rank,
        .packed = plan->packed_a,
    };
    kernels->pack_thin(&thin);
    const size_t tasks = divide_up(width, kernels->thin_columns);
    const double work = (double)rank * (double)width * (double)total;
    if (work >= LEAST_SHARED_WORK) {
        cairn_parallel(context, tasks, kernels->thin, &thin);
    } else {
        for (size_t task = 0; task < tasks; task++) kernels->thin(&thin, task, 0);
    }
    return CAIRN_STATUS_OK;
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
    if (out <= THIN_RANK || in <= THIN_RANK)
        return thin_gradient(context, &plan, partition, total);
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
