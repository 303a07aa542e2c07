// SPDX-License-Identifier: Apache-2.0
/// Entry points of RMSNorm and LayerNorm: rows are cut into tiles, weight gradients into columns.

#include "core/core.h"
#include "math/partition.h"

/// Elements that one task takes, in whole rows.
enum { GRAIN = 8192 };

typedef struct norm_call {
    const cairn_normalization_kernels *kernels;
    const cairn_partition *partition;
    size_t rows, width, grain, repeats;
    float epsilon;
    const float *x, *dy, *mean, *inverse;
    const void *w, *b;
    cairn_dtype dtype;
    float *y, *mean_out, *inverse_out;
    cairn_gradient dw, db;
} norm_call;

static cairn_status run_rows(cairn_context *context, norm_call call, cairn_task task) {
    size_t elements;
    if (__builtin_mul_overflow(call.rows, call.width, &elements) || call.dtype < CAIRN_DTYPE_F32
        || call.dtype > CAIRN_DTYPE_F16)
        return CAIRN_STATUS_INVALID_ARGUMENT;
    call.kernels = context->kernels->normalization;
    call.grain = call.width < GRAIN && call.width > 0 ? GRAIN / call.width : 1;
    cairn_parallel(context, cairn_tiles(call.rows, call.grain), task, &call);
    return CAIRN_STATUS_OK;
}

static cairn_status run_columns(cairn_context *context, norm_call call, cairn_task task) {
    if (!cairn_partition_is_valid(call.partition)) return CAIRN_STATUS_INVALID_ARGUMENT;
    call.kernels = context->kernels->normalization;
    cairn_parallel(context, cairn_tiles(call.width, CAIRN_GRADIENT_COLUMNS), task, &call);
    return CAIRN_STATUS_OK;
}

static void rms_norm_forward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const norm_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->width;
    call->kernels->rms_norm_forward(r.end - r.begin, call->width, call->epsilon, call->x + offset,
                                    call->w, call->dtype, call->y + offset,
                                    call->inverse_out + r.begin);
}

cairn_status cairn_rms_norm_forward(cairn_context *context, size_t rows, size_t width,
                                    float epsilon, const float *x, const void *w,
                                    cairn_dtype dtype, float *y, float *inverse_rms) {
    const norm_call call = {.rows = rows, .width = width, .epsilon = epsilon, .x = x, .w = w,
                            .dtype = dtype, .y = y, .inverse_out = inverse_rms};
    return run_rows(context, call, rms_norm_forward_task);
}

static void rms_norm_backward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const norm_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->width;
    call->kernels->rms_norm_backward(r.end - r.begin, call->width, call->x + offset, call->w,
                                     call->dtype, call->inverse + r.begin, call->dy + offset,
                                     call->y + offset);
}

cairn_status cairn_rms_norm_backward(cairn_context *context, size_t rows, size_t width,
                                     const float *x, const void *w, cairn_dtype dtype,
                                     const float *inverse_rms, const float *dy, float *dx) {
    const norm_call call = {.rows = rows, .width = width, .x = x, .w = w, .dtype = dtype,
                            .inverse = inverse_rms, .dy = dy, .y = dx};
    return run_rows(context, call, rms_norm_backward_task);
}

static void rms_norm_weight_gradient_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const norm_call *call = arguments;
    const cairn_range r = cairn_tile(call->width, CAIRN_GRADIENT_COLUMNS, tile);
    call->kernels->rms_norm_weight_gradient(call->partition, call->repeats, call->width, r.begin,
                                            r.end, call->x, call->inverse, call->dy, call->dw);
}

cairn_status cairn_rms_norm_weight_gradient(cairn_context *context,
                                            const cairn_partition *partition, size_t repeats,
                                            size_t width, const float *x, const float *inverse_rms,
                                            const float *dy, cairn_gradient dw) {
    const norm_call call = {.partition = partition, .repeats = repeats, .width = width, .x = x,
                            .inverse = inverse_rms, .dy = dy, .dw = dw};
    return run_columns(context, call, rms_norm_weight_gradient_task);
}

static void layer_norm_forward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const norm_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->width;
    call->kernels->layer_norm_forward(r.end - r.begin, call->width, call->epsilon,
                                      call->x + offset, call->w, call->b, call->dtype,
                                      call->y + offset, call->mean_out + r.begin,
                                      call->inverse_out + r.begin);
}

cairn_status cairn_layer_norm_forward(cairn_context *context, size_t rows, size_t width,
                                      float epsilon, const float *x, const void *w, const void *b,
                                      cairn_dtype dtype, float *y, float *mean,
                                      float *inverse_deviation) {
    const norm_call call = {.rows = rows, .width = width, .epsilon = epsilon, .x = x, .w = w,
                            .b = b, .dtype = dtype, .y = y, .mean_out = mean,
                            .inverse_out = inverse_deviation};
    return run_rows(context, call, layer_norm_forward_task);
}

static void layer_norm_backward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const norm_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->width;
    call->kernels->layer_norm_backward(r.end - r.begin, call->width, call->x + offset, call->w,
                                       call->dtype, call->mean + r.begin, call->inverse + r.begin,
                                       call->dy + offset, call->y + offset);
}

cairn_status cairn_layer_norm_backward(cairn_context *context, size_t rows, size_t width,
                                       const float *x, const void *w, cairn_dtype dtype,
                                       const float *mean, const float *inverse_deviation,
                                       const float *dy, float *dx) {
    const norm_call call = {.rows = rows, .width = width, .x = x, .w = w, .dtype = dtype,
                            .mean = mean, .inverse = inverse_deviation, .dy = dy, .y = dx};
    return run_rows(context, call, layer_norm_backward_task);
}

static void layer_norm_weight_gradient_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const norm_call *call = arguments;
    const cairn_range r = cairn_tile(call->width, CAIRN_GRADIENT_COLUMNS, tile);
    call->kernels->layer_norm_weight_gradient(call->partition, call->width, r.begin, r.end,
                                              call->x, call->mean, call->inverse, call->dy,
                                              call->dw, call->db);
}

cairn_status cairn_layer_norm_weight_gradient(cairn_context *context,
                                              const cairn_partition *partition, size_t width,
                                              const float *x, const float *mean,
                                              const float *inverse_deviation, const float *dy,
                                              cairn_gradient dw, cairn_gradient db) {
    const norm_call call = {.partition = partition, .width = width, .x = x, .mean = mean,
                            .inverse = inverse_deviation, .dy = dy, .dw = dw, .db = db};
    return run_columns(context, call, layer_norm_weight_gradient_task);
}
