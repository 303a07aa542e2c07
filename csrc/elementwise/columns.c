// SPDX-License-Identifier: Apache-2.0
/// Entry points of the operations with one number per column: DoRA's factor and norm, biases.

#include "core/core.h"
#include "math/partition.h"

/// Elements that one task takes, in whole rows.
enum { GRAIN = 16384 };

/// Rows of the DoRA norm that one task takes.
enum { NORM_ROWS = 16 };

typedef struct columns_call {
    const cairn_elementwise_kernels *kernels;
    size_t rows, width, grain, rank;
    float scale;
    const float *a, *b, *c, *d;
    const void *weights;
    cairn_dtype dtype;
    const cairn_partition *partition;
    cairn_gradient gradient;
    float *y;
} columns_call;

static void scale_columns_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const columns_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->width;
    call->kernels->scale_columns(r.end - r.begin, call->width, call->a + offset, call->b, call->c,
                                 call->d, call->y + offset);
}

static cairn_status scale_columns(cairn_context *context, columns_call call) {
    size_t elements;
    if (__builtin_mul_overflow(call.rows, call.width, &elements))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    call.kernels = context->kernels->elementwise;
    call.grain = call.width < GRAIN && call.width > 0 ? GRAIN / call.width : 1;
    cairn_parallel(context, cairn_tiles(call.rows, call.grain), scale_columns_task, &call);
    return CAIRN_STATUS_OK;
}

cairn_status cairn_scale_columns_forward(cairn_context *context, size_t rows, size_t width,
                                         const float *z, const float *numerator,
                                         const float *denominator, const float *bias, float *y) {
    const columns_call call = {.rows = rows, .width = width, .a = z, .b = numerator,
                               .c = denominator, .d = bias, .y = y};
    return scale_columns(context, call);
}

cairn_status cairn_scale_columns_backward(cairn_context *context, size_t rows, size_t width,
                                          const float *dy, const float *numerator,
                                          const float *denominator, float *dz) {
    const columns_call call = {
        .rows = rows, .width = width, .a = dy, .b = numerator, .c = denominator, .y = dz};
    return scale_columns(context, call);
}

static void scale_columns_gradient_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const columns_call *call = arguments;
    const cairn_range r = cairn_tile(call->width, CAIRN_GRADIENT_COLUMNS, tile);
    call->kernels->scale_columns_gradient(call->partition, call->width, r.begin, r.end, call->a,
                                          call->b, call->c, call->gradient);
}

static void bias_gradient_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const columns_call *call = arguments;
    const cairn_range r = cairn_tile(call->width, CAIRN_GRADIENT_COLUMNS, tile);
    call->kernels->bias_gradient(call->partition, call->width, r.begin, r.end, call->a,
                                 call->gradient);
}

static cairn_status gradient(cairn_context *context, columns_call call, cairn_task task) {
    if (!cairn_partition_is_valid(call.partition)) return CAIRN_STATUS_INVALID_ARGUMENT;
    call.kernels = context->kernels->elementwise;
    cairn_parallel(context, cairn_tiles(call.width, CAIRN_GRADIENT_COLUMNS), task, &call);
    return CAIRN_STATUS_OK;
}

cairn_status cairn_scale_columns_gradient(cairn_context *context, const cairn_partition *partition,
                                          size_t width, const float *dy, const float *z,
                                          const float *denominator, cairn_gradient d_numerator) {
    const columns_call call = {.partition = partition, .width = width, .a = dy, .b = z,
                               .c = denominator, .gradient = d_numerator};
    return gradient(context, call, scale_columns_gradient_task);
}

cairn_status cairn_bias_gradient(cairn_context *context, const cairn_partition *partition,
                                 size_t width, const float *dy, cairn_gradient db) {
    const columns_call call = {
        .partition = partition, .width = width, .a = dy, .gradient = db};
    return gradient(context, call, bias_gradient_task);
}

static void dora_norm_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const columns_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, NORM_ROWS, tile);
    call->kernels->dora_norm(r.begin, r.end, call->width, call->rank, call->scale, call->weights,
                             call->dtype, call->a, call->b, call->y);
}

cairn_status cairn_dora_norm(cairn_context *context, size_t out, size_t in, size_t rank,
                             float scale, const void *w, cairn_dtype dtype, const float *a,
                             const float *b, float *norm) {
    size_t elements;
    if (__builtin_mul_overflow(out, in, &elements) || dtype < CAIRN_DTYPE_F32
        || dtype > CAIRN_DTYPE_NF4)
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const columns_call call = {.kernels = context->kernels->elementwise, .rows = out, .width = in,
                               .rank = rank, .scale = scale, .weights = w, .dtype = dtype, .a = a,
                               .b = b, .y = norm};
    cairn_parallel(context, cairn_tiles(out, NORM_ROWS), dora_norm_task, &call);
    return CAIRN_STATUS_OK;
}
