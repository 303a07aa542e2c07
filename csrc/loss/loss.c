// SPDX-License-Identifier: Apache-2.0
/// Entry points of the losses and of softmax: rows are cut into tiles.

#include "core/core.h"

/// Elements that one task takes, in whole rows.
enum { GRAIN = 8192 };

typedef struct loss_call {
    const cairn_loss_kernels *kernels;
    const cairn_cross_entropy_config *config;
    size_t rows, columns, grain;
    float scale, weight_sum;
    const float *x, *targets;
    const int32_t *ids;
    float *losses, *d;
} loss_call;

static cairn_status run(cairn_context *context, loss_call call, cairn_task task) {
    size_t elements;
    if (__builtin_mul_overflow(call.rows, call.columns, &elements))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    call.kernels = context->kernels->loss;
    call.grain = call.columns < GRAIN && call.columns > 0 ? GRAIN / call.columns : 1;
    cairn_parallel(context, cairn_tiles(call.rows, call.grain), task, &call);
    return CAIRN_STATUS_OK;
}

static void softmax_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const loss_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->columns;
    call->kernels->softmax(r.end - r.begin, call->columns, call->x + offset, call->d + offset);
}

cairn_status cairn_softmax(cairn_context *context, size_t rows, size_t classes, const float *x,
                           float *p) {
    return run(context, (loss_call){.rows = rows, .columns = classes, .x = x, .d = p},
               softmax_task);
}

static void cross_entropy_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const loss_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->columns;
    call->kernels->cross_entropy(call->config, call->weight_sum, r.end - r.begin, call->columns,
                                 call->x + offset, call->ids + r.begin, call->losses + r.begin,
                                 call->d ? call->d + offset : NULL);
}

cairn_status cairn_cross_entropy(cairn_context *context, const cairn_cross_entropy_config *config,
                                 size_t rows, size_t classes, const float *logits,
                                 const int32_t *targets, float *losses, float *d_logits) {
    if (!(config->label_smoothing >= 0 && config->label_smoothing < 1))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    for (size_t t = 0; t < rows; t++)
        if (targets[t] != config->ignore_index
            && (targets[t] < 0 || (size_t)targets[t] >= classes))
            return CAIRN_STATUS_INVALID_ARGUMENT;
    double weight_sum = config->class_weights ? 0 : (double)classes;
    if (config->class_weights)
        for (size_t c = 0; c < classes; c++) weight_sum += (double)config->class_weights[c];
    const loss_call call = {.config = config, .rows = rows, .columns = classes,
                            .weight_sum = (float)weight_sum, .x = logits, .ids = targets,
                            .losses = losses, .d = d_logits};
    return run(context, call, cross_entropy_task);
}

static void binary_cross_entropy_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const loss_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->columns;
    call->kernels->binary_cross_entropy(r.end - r.begin, call->columns, call->scale,
                                        call->x + offset, call->targets + offset,
                                        call->losses + r.begin,
                                        call->d ? call->d + offset : NULL);
}

cairn_status cairn_binary_cross_entropy(cairn_context *context, size_t rows, size_t columns,
                                        float scale, const float *logits, const float *targets,
                                        float *losses, float *d_logits) {
    const loss_call call = {.rows = rows, .columns = columns, .scale = scale, .x = logits,
                            .targets = targets, .losses = losses, .d = d_logits};
    return run(context, call, binary_cross_entropy_task);
}

static void squared_error_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const loss_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->columns;
    call->kernels->squared_error(r.end - r.begin, call->columns, call->scale, call->x + offset,
                                 call->targets + offset, call->losses + r.begin,
                                 call->d ? call->d + offset : NULL);
}

cairn_status cairn_squared_error(cairn_context *context, size_t rows, size_t columns, float scale,
                                 const float *x, const float *targets, float *losses, float *dx) {
    const loss_call call = {.rows = rows, .columns = columns, .scale = scale, .x = x,
                            .targets = targets, .losses = losses, .d = dx};
    return run(context, call, squared_error_task);
}
