// SPDX-License-Identifier: Apache-2.0
/// Entry points of the operations on one element at a time: cut into tiles, call the kernels.

#include "core/core.h"

/// Elements that one task takes: 64 KiB per array, whatever the number of threads.
enum { GRAIN = 16384 };

/// What the tiles of any of these operations need; each uses some of it.
typedef struct elementwise_call {
    const cairn_elementwise_kernels *kernels;
    size_t count;
    cairn_activation function;
    float scale;
    const float *a, *b, *c;
    const void *weights;
    cairn_dtype dtype;
    float *y, *z;
} elementwise_call;

static cairn_status run(cairn_context *context, elementwise_call call, cairn_task task) {
    call.kernels = context->kernels->elementwise;
    cairn_parallel(context, cairn_tiles(call.count, GRAIN), task, &call);
    return CAIRN_STATUS_OK;
}

static bool is_activation(cairn_activation function) {
    return function >= CAIRN_ACTIVATION_SILU && function <= CAIRN_ACTIVATION_TANH;
}

static void activation_forward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->activation_forward(call->function, r.end - r.begin, call->a + r.begin,
                                      call->y + r.begin);
}

cairn_status cairn_activation_forward(cairn_context *context, cairn_activation function,
                                      size_t count, const float *x, float *y) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const elementwise_call call = {.count = count, .function = function, .a = x, .y = y};
    return run(context, call, activation_forward_task);
}

static void activation_slope_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->activation_slope(call->function, r.end - r.begin, call->a + r.begin,
                                    call->y + r.begin, call->z + r.begin);
}

cairn_status cairn_activation_slope(cairn_context *context, cairn_activation function,
                                    size_t count, const float *x, float *y, float *slope) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const elementwise_call call = {
        .count = count, .function = function, .a = x, .y = y, .z = slope};
    return run(context, call, activation_slope_task);
}

static void activation_backward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->activation_backward(call->function, r.end - r.begin, call->a + r.begin,
                                       call->b + r.begin, call->y + r.begin);
}

cairn_status cairn_activation_backward(cairn_context *context, cairn_activation function,
                                       size_t count, const float *x, const float *dy, float *dx) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const elementwise_call call = {
        .count = count, .function = function, .a = x, .b = dy, .y = dx};
    return run(context, call, activation_backward_task);
}

static void gated_forward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->gated_forward(call->function, r.end - r.begin, call->a + r.begin,
                                 call->b + r.begin, call->y + r.begin);
}

cairn_status cairn_gated_forward(cairn_context *context, cairn_activation function, size_t count,
                                 const float *gate, const float *up, float *y) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const elementwise_call call = {
        .count = count, .function = function, .a = gate, .b = up, .y = y};
    return run(context, call, gated_forward_task);
}

static void gated_backward_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->gated_backward(call->function, r.end - r.begin, call->a + r.begin,
                                  call->b + r.begin, call->c + r.begin, call->y + r.begin,
                                  call->z + r.begin);
}

cairn_status cairn_gated_backward(cairn_context *context, cairn_activation function, size_t count,
                                  const float *gate, const float *up, const float *dy,
                                  float *d_gate, float *d_up) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const elementwise_call call = {.count = count, .function = function, .a = gate, .b = up,
                                   .c = dy, .y = d_gate, .z = d_up};
    return run(context, call, gated_backward_task);
}

static void add_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->add(r.end - r.begin, call->a + r.begin, call->scale, call->b + r.begin,
                       call->y + r.begin);
}

cairn_status cairn_add(cairn_context *context, size_t count, const float *a, float scale,
                       const float *b, float *y) {
    const elementwise_call call = {.count = count, .scale = scale, .a = a, .b = b, .y = y};
    return run(context, call, add_task);
}

static void multiply_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->multiply(r.end - r.begin, call->a + r.begin, call->b + r.begin,
                            call->y + r.begin);
}

cairn_status cairn_multiply(cairn_context *context, size_t count, const float *a, const float *b,
                            float *y) {
    const elementwise_call call = {.count = count, .a = a, .b = b, .y = y};
    return run(context, call, multiply_task);
}

static void scale_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->scale(r.end - r.begin, call->scale, call->a + r.begin, call->y + r.begin);
}

cairn_status cairn_scale(cairn_context *context, size_t count, float scale, const float *x,
                         float *y) {
    const elementwise_call call = {.count = count, .scale = scale, .a = x, .y = y};
    return run(context, call, scale_task);
}

static void widen_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const elementwise_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->widen(r.begin, r.end - r.begin, call->weights, call->dtype, call->y + r.begin);
}

cairn_status cairn_widen(cairn_context *context, size_t count, const void *source,
                         cairn_dtype dtype, float *destination) {
    if (dtype < CAIRN_DTYPE_F32 || dtype > CAIRN_DTYPE_NF4) return CAIRN_STATUS_INVALID_ARGUMENT;
    const elementwise_call call = {
        .count = count, .weights = source, .dtype = dtype, .y = destination};
    return run(context, call, widen_task);
}
