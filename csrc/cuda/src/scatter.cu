// SPDX-License-Identifier: Apache-2.0
/// Sums into rows that an index names, without atomics: the first occurrence of an index adds up
/// all of them, in order (cairn_rows.h).

#include "context.h"
#include "groups.cuh"
#include "loop.cuh"
#include "reduce.cuh"

namespace cairn {
inline namespace kernels {

/// Whether `index` occurs among indices begin ..< end; the same answer in every thread of a block.
__device__ __forceinline__ bool occurs(const uint32_t *indices, uint32_t index, size_t begin,
                                       size_t end) {
    int found = 0;
    for (size_t i = begin + threadIdx.x; i < end; i += ROW_BLOCK) found |= indices[i] == index;
    return __syncthreads_or(found) != 0;
}

/// Calls `body` with every place in begin ..< end where `index` stands, ascending, in all threads.
template <class Body>
__device__ __forceinline__ void each_occurrence(const uint32_t *indices, uint32_t index,
                                                size_t begin, size_t end, Body body) {
    __shared__ uint32_t places[ROW_BLOCK / WARP];
    for (size_t first = begin; first < end; first += ROW_BLOCK) {
        const size_t i = first + threadIdx.x;
        const unsigned found = __ballot_sync(ALL_LANES, i < end && indices[i] == index);
        __syncthreads();  // SYNC:occurrence-reuse
        if (threadIdx.x % WARP == 0) places[threadIdx.x / WARP] = found;
        __syncthreads();  // SYNC:occurrence-publish
        for (int warp = 0; warp < ROW_BLOCK / WARP; warp++)
            for (unsigned rest = places[warp]; rest; rest &= rest - 1)
                body(first + warp * WARP + __ffs((int)rest) - 1);
    }
}

/// A block per index; dx is zero before.
__global__ void __launch_bounds__(ROW_BLOCK)
scatter(size_t count, size_t rows, size_t width, const uint32_t *indices, const float *dy,
        float *dx, uint32_t *faults) {
    const size_t own = blockIdx.x;
    const uint32_t row = indices[own];
    if (row >= rows) {
        if (threadIdx.x == 0) atomicMax(faults, (uint32_t)FAULT_ROW_INDEX);
        return;
    }
    if (occurs(indices, row, 0, own)) return;
    each_occurrence(indices, row, own, count, [=](size_t i) {
        for (size_t j = threadIdx.x; j < width; j += ROW_BLOCK)
            dx[row * width + j] += dy[i * width + j];
    });
}

/// Adds the open part of a row to its sum and clears it; a thread does this for its own columns.
__device__ __forceinline__ void close_row(cairn_gradient table, size_t row, size_t width) {
    for (size_t j = threadIdx.x; j < width; j += ROW_BLOCK) {
        table.sum[row * width + j] += table.open[row * width + j];
        table.open[row * width + j] = 0;
    }
}

/// A block per token of groups begin ..< end: the first token with an id does all with that id.
__global__ void __launch_bounds__(ROW_BLOCK)
embed_sum(Groups groups, size_t begin, size_t end, size_t width, size_t vocabulary,
          const uint32_t *ids, const float *dy, uint32_t *faults) {
    const cairn_gradient table = groups.gradient;
    const size_t first = groups.rows[begin], own = first + blockIdx.x;
    const uint32_t id = ids[own];
    if (id >= vocabulary) {  // Negative ids are large here.
        if (threadIdx.x == 0) atomicMax(faults, (uint32_t)FAULT_EMBEDDING_ID);
        return;
    }
    if (occurs(ids, id, first, own)) return;
    for (size_t g = begin; g < end; g++) {
        each_occurrence(ids, id, groups.rows[g], groups.rows[g + 1], [=](size_t t) {
            for (size_t j = threadIdx.x; j < width; j += ROW_BLOCK)
                table.open[id * width + j] += dy[t * width + j];
        });
        if (!groups.is_suspended(g)) close_row(table, id, width);
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
close_all(size_t count, float *sum, float *open) {
    for (Loop i(count); i; ++i) {
        sum[i.at] += open[i.at];
        open[i.at] = 0;
    }
}

void sum_groups(cairn_context *context, const Groups &groups, size_t begin, size_t end,
                size_t width, size_t vocabulary, const int32_t *ids, const float *dy) {
    const unsigned tokens = groups.rows[end] - groups.rows[begin];
    if (tokens > 0)
        LAUNCH(embed_sum, dim3(tokens), dim3(ROW_BLOCK), 0, context->stream, groups, begin, end,
               width, vocabulary, (const uint32_t *)ids, dy, context->faults);
}

}  // namespace kernels

cairn_status scatter_rows_on_device(cairn_context *context, size_t count, size_t rows,
                                    size_t width, const uint32_t *indices, const float *dy,
                                    float *dx) {
    if (multiply_overflows(count, width) || multiply_overflows(rows, width))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    zero_on_device(context, dx, rows * width * sizeof(float));
    if (count * width > 0)
        LAUNCH(scatter, dim3((unsigned)count), dim3(ROW_BLOCK), 0, context->stream, count, rows,
               width, indices, dy, dx, context->faults);
    return launched(context, "scatter_rows");
}

cairn_status embedding_gradient_on_device(cairn_context *context, const cairn_partition *partition,
                                          size_t width, size_t vocabulary, const int32_t *ids,
                                          const float *dy, cairn_gradient d_table) {
    if (!is_valid(partition) || multiply_overflows(vocabulary, width))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    for (size_t first = 0; width > 0 && first < partition->group_count; first += GROUPS) {
        const Groups groups = groups_from(partition, first, d_table);
        size_t begin = 0;
        if (groups.resumes) {
            // Earlier micro-batches opened rows that these ids do not name.
            sum_groups(context, groups, 0, 1, width, vocabulary, ids, dy);
            if (!groups.is_suspended(0) && vocabulary > 0)
                LAUNCH(close_all, loop_blocks(context, vocabulary * width), dim3(LOOP_BLOCK), 0,
                       context->stream, vocabulary * width, d_table.sum, d_table.open);
            begin = 1;
        }
        sum_groups(context, groups, begin, groups.count, width, vocabulary, ids, dy);
    }
    return launched(context, "embedding_gradient");
}

}  // namespace cairn
