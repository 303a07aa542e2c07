// SPDX-License-Identifier: Apache-2.0
/// Entry points of the operations that pick, place and average rows.

#include "core/core.h"
#include "math/partition.h"

#include <string.h>

/// Elements that one task takes, in whole rows.
enum { GRAIN = 16384 };

typedef struct rows_call {
    const cairn_rows_kernels *kernels;
    const cairn_partition *partition;
    size_t count, rows, width, grain, vocabulary;
    const int32_t *ids;
    const uint32_t *indices;  ///< Or offsets.
    const void *table;
    cairn_dtype dtype;
    const float *x;
    float *y;
    cairn_gradient gradient;
} rows_call;

static size_t rows_per_task(size_t width) {
    return width < GRAIN && width > 0 ? GRAIN / width : 1;
}

static bool overflows(size_t rows, size_t width) {
    size_t elements;
    return __builtin_mul_overflow(rows, width, &elements);
}

static bool are_ids(size_t count, size_t vocabulary, const int32_t *ids) {
    bool valid = true;
    for (size_t i = 0; i < count; i++) valid = valid && ids[i] >= 0 && (size_t)ids[i] < vocabulary;
    return valid;
}

static bool are_indices(size_t count, size_t rows, const uint32_t *indices) {
    bool valid = true;
    for (size_t i = 0; i < count; i++) valid = valid && indices[i] < rows;
    return valid;
}

static bool are_offsets(size_t sequences, const uint32_t *offsets) {
    bool valid = offsets[0] == 0;
    for (size_t i = 0; i < sequences; i++) valid = valid && offsets[i] <= offsets[i + 1];
    return valid;
}

static void embedding_forward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const rows_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    call->kernels->embedding_forward(r.end - r.begin, call->width, call->ids + r.begin,
                                     call->table, call->dtype, call->y + r.begin * call->width);
}

cairn_status cairn_embedding_forward(cairn_context *context, size_t rows, size_t width,
                                     size_t vocabulary, const int32_t *ids, const void *table,
                                     cairn_dtype dtype, float *y) {
    if (overflows(rows, width) || overflows(vocabulary, width) || dtype < CAIRN_DTYPE_F32
        || dtype > CAIRN_DTYPE_F16 || !are_ids(rows, vocabulary, ids))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const rows_call call = {.kernels = context->kernels->rows, .rows = rows, .width = width,
                            .grain = rows_per_task(width), .ids = ids, .table = table,
                            .dtype = dtype, .y = y};
    cairn_parallel(context, cairn_tiles(rows, call.grain), embedding_forward_task, &call);
    return CAIRN_STATUS_OK;
}

static void embedding_gradient_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const rows_call *call = arguments;
    const cairn_range r = cairn_tile(call->width, CAIRN_GRADIENT_COLUMNS, tile);
    call->kernels->embedding_gradient(call->partition, call->width, call->vocabulary, r.begin,
                                      r.end, call->ids, call->x, call->gradient);
}

cairn_status cairn_embedding_gradient(cairn_context *context, const cairn_partition *partition,
                                      size_t width, size_t vocabulary, const int32_t *ids,
                                      const float *dy, cairn_gradient d_table) {
    if (!cairn_partition_is_valid(partition) || overflows(vocabulary, width)
        || !are_ids(cairn_partition_rows(partition), vocabulary, ids))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const rows_call call = {.kernels = context->kernels->rows, .partition = partition,
                            .width = width, .vocabulary = vocabulary, .ids = ids, .x = dy,
                            .gradient = d_table};
    cairn_parallel(context, cairn_tiles(width, CAIRN_GRADIENT_COLUMNS), embedding_gradient_task,
                   &call);
    return CAIRN_STATUS_OK;
}

static void gather_rows_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const rows_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, call->grain, tile);
    for (size_t i = r.begin; i < r.end; i++)
        memcpy(call->y + i * call->width, call->x + (size_t)call->indices[i] * call->width,
               call->width * sizeof(float));
}

cairn_status cairn_gather_rows(cairn_context *context, size_t count, size_t rows, size_t width,
                               const uint32_t *indices, const float *x, float *y) {
    if (overflows(count, width) || overflows(rows, width) || !are_indices(count, rows, indices))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const rows_call call = {.count = count, .width = width, .grain = rows_per_task(width),
                            .indices = indices, .x = x, .y = y};
    cairn_parallel(context, cairn_tiles(count, call.grain), gather_rows_task, &call);
    return CAIRN_STATUS_OK;
}

static void scatter_rows_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const rows_call *call = arguments;
    const cairn_range r = cairn_tile(call->width, CAIRN_GRADIENT_COLUMNS, tile);
    call->kernels->scatter_rows(call->count, call->rows, call->width, r.begin, r.end,
                                call->indices, call->x, call->y);
}

cairn_status cairn_scatter_rows(cairn_context *context, size_t count, size_t rows, size_t width,
                                const uint32_t *indices, const float *dy, float *dx) {
    if (overflows(count, width) || overflows(rows, width) || !are_indices(count, rows, indices))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const rows_call call = {.kernels = context->kernels->rows, .count = count, .rows = rows,
                            .width = width, .indices = indices, .x = dy, .y = dx};
    cairn_parallel(context, cairn_tiles(width, CAIRN_GRADIENT_COLUMNS), scatter_rows_task, &call);
    return CAIRN_STATUS_OK;
}

static void mean_rows_forward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const rows_call *call = arguments;
    const size_t begin = call->indices[tile], end = call->indices[tile + 1];
    call->kernels->mean_rows_forward(end - begin, call->width, call->x + begin * call->width,
                                     call->y + tile * call->width);
}

static void mean_rows_backward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const rows_call *call = arguments;
    const size_t begin = call->indices[tile], end = call->indices[tile + 1];
    call->kernels->mean_rows_backward(end - begin, call->width, call->x + tile * call->width,
                                      call->y + begin * call->width);
}

static cairn_status mean_rows(cairn_context *context, size_t sequences, rows_call call,
                              cairn_task task) {
    if (!are_offsets(sequences, call.indices) || overflows(sequences, call.width)
        || overflows(call.indices[sequences], call.width))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    call.kernels = context->kernels->rows;
    cairn_parallel(context, sequences, task, &call);
    return CAIRN_STATUS_OK;
}

cairn_status cairn_mean_rows_forward(cairn_context *context, size_t sequences, size_t width,
                                     const uint32_t *offsets, const float *x, float *y) {
    const rows_call call = {.width = width, .indices = offsets, .x = x, .y = y};
    return mean_rows(context, sequences, call, mean_rows_forward_task);
}

cairn_status cairn_mean_rows_backward(cairn_context *context, size_t sequences, size_t width,
                                      const uint32_t *offsets, const float *dy, float *dx) {
    const rows_call call = {.width = width, .indices = offsets, .x = dy, .y = dx};
    return mean_rows(context, sequences, call, mean_rows_backward_task);
}
