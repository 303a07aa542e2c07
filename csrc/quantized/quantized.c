// SPDX-License-Identifier: Apache-2.0
/// Weights in 8 and 4 bits: entry points.

#include "core/core.h"

enum {
    QUANTIZED_ROWS = 16,     // Rows of a weight that one task rounds.
    UNITS_PER_THREAD = 4,    // Enough that a thread that was held up is relieved of its rest.
    ROW_TILES_PER_PART = 8,  // A part of fewer repeats the packing of W for too little work.
    MOST_ROW_BYTES = 4 << 20,  // Codes of x stay in a last-level cache while all columns pass by.
};

typedef struct quantize_call {
    const cairn_quantized_kernels *kernels;
    size_t rows, columns, stride, count;
    const void *w;
    cairn_dtype dtype;
    void *codes;
    float *scales;
    int32_t *sums;
    int8_t *block_scales;
    float *groups;
} quantize_call;

static void quantize_int8_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const quantize_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, QUANTIZED_ROWS, tile);
    call->kernels->quantize_int8(r.begin, r.end, call->columns, call->stride, call->w, call->dtype,
                                 call->codes, call->scales, call->sums);
}

static void quantize_nf4_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const quantize_call *call = arguments;
    call->kernels->quantize_nf4(tile, call->count, call->w, call->dtype, call->codes,
                                call->block_scales, call->groups);
}

cairn_status cairn_quantize_int8(cairn_context *context, size_t rows, size_t columns, const void *w,
                                 cairn_dtype dtype, int8_t *codes, float *scales, int32_t *sums) {
    if (columns == 0 || columns > CAIRN_INT8_MOST || dtype > CAIRN_DTYPE_F16)
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const quantize_call call = {
        .kernels = context->kernels->quantized,
        .rows = rows,
        .columns = columns,
        .stride = cairn_tiles(columns, CAIRN_INT8_STRIDE) * CAIRN_INT8_STRIDE,
        .w = w,
        .dtype = dtype,
        .codes = codes,
        .scales = scales,
        .sums = sums,
    };
    cairn_parallel(context, cairn_tiles(rows, QUANTIZED_ROWS), quantize_int8_task, &call);
    return CAIRN_STATUS_OK;
}

cairn_status cairn_quantize_nf4(cairn_context *context, size_t count, const void *w,
                                cairn_dtype dtype, uint8_t *codes, int8_t *scales, float *groups) {
    if (dtype > CAIRN_DTYPE_F16) return CAIRN_STATUS_INVALID_ARGUMENT;
    const quantize_call call = {
        .kernels = context->kernels->quantized,
        .count = count,
        .w = w,
        .dtype = dtype,
        .codes = codes,
        .block_scales = scales,
        .groups = groups,
    };
    cairn_parallel(context, cairn_tiles(count, CAIRN_NF4_BLOCK * CAIRN_NF4_GROUP),
                   quantize_nf4_task, &call);
    return CAIRN_STATUS_OK;
}

/// In how many parts the rows of a product go, so that every thread has some units.
static size_t row_units(const cairn_context *context, size_t m, size_t column_tiles) {
    const size_t wanted = UNITS_PER_THREAD * context->threads;
    const size_t parts = cairn_tiles(m, ROW_TILES_PER_PART * context->kernels->quantized->mr);
    if (context->threads == 1 || column_tiles >= wanted) return 1;
    const size_t units = cairn_tiles(wanted, column_tiles);
    return units < parts ? units : parts;
}

cairn_status cairn_matmul_int8(cairn_context *context, size_t m, size_t n, const float *x,
                               const cairn_int8 *w, const float *bias, float *c) {
    if (m == 0 || n == 0) return CAIRN_STATUS_OK;
    const cairn_quantized_kernels *kernels = context->kernels->quantized;
    // Rows an odd number of cache lines apart do not meet in the same few sets of a cache.
    const size_t line = 64, row_bytes = (w->stride * kernels->code_bytes / line | 1) * line;
    const size_t most = MOST_ROW_BYTES / row_bytes;
    const size_t rows = most >= m ? m : cairn_tiles(m, cairn_tiles(m, most > 0 ? most : 1));
    const size_t scale_bytes = cairn_tiles(rows * sizeof(float), line) * line;
    const size_t panel_bytes = w->stride * kernels->code_bytes * kernels->nr;
    char *memory =
        cairn_scratch(context, rows * row_bytes + scale_bytes + panel_bytes * context->threads);
    if (!memory) return CAIRN_STATUS_OUT_OF_MEMORY;
    const size_t column_tiles = cairn_tiles(n, kernels->nr);
    for (size_t i = 0; i < m; i += rows) {
        cairn_int8_plan plan = {
            .w = w,
            .m = m - i < rows ? m - i : rows,
            .n = n,
            .x = x + i * w->columns,
            .bias = bias,
            .c = c + i * n,
            .rows = memory,
            .row_scales = (float *)(memory + rows * row_bytes),
            .panels = memory + rows * row_bytes + scale_bytes,
            .row_bytes = row_bytes,
            .panel_bytes = panel_bytes,
        };
        plan.row_units = row_units(context, plan.m, column_tiles);
        cairn_parallel(context, cairn_tiles(plan.m, CAIRN_INT8_ROWS), kernels->int8_rows, &plan);
        cairn_parallel(context, plan.row_units * column_tiles, kernels->int8_unit, &plan);
    }
    return CAIRN_STATUS_OK;
}
