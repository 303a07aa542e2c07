// SPDX-License-Identifier: Apache-2.0
/// Entry points of the optimizer: validate, fold the scalars once, cut into tiles.

#include "core/core.h"
#include "optimizer/optimizer_scalars.h"

/// Elements that one task takes. The pairs of LoRA are short: a larger grain would leave them to one
/// thread, and a smaller one than a microsecond's work would not pay.
enum { GRAIN = 2048, SQUARES = 4096 };

typedef struct optimizer_call {
    const cairn_optimizer_kernels *kernels;
    size_t count;
    cairn_adam_kernel *adam_kernel;
    cairn_adam_scalars adam;
    cairn_sgd_kernel *sgd_kernel;
    cairn_sgd_scalars sgd;
    cairn_lion_scalars lion;
    float *p, *m, *v;
    const float *g;
    double *sums;
} optimizer_call;

static void sum_of_squares_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const optimizer_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, SQUARES, tile);
    call->sums[tile] = call->kernels->sum_of_squares(r.end - r.begin, call->g + r.begin);
}

cairn_status cairn_sum_of_squares(cairn_context *context, size_t count, const float *x,
                                  double *sum) {
    const size_t tiles = cairn_tiles(count, SQUARES);
    double total = 0;
    if (tiles > 0) {
        double *sums = cairn_scratch(context, tiles * sizeof(double));
        if (!sums) return CAIRN_STATUS_OUT_OF_MEMORY;
        const optimizer_call call = {.kernels = context->kernels->optimizer, .count = count,
                                     .g = x, .sums = sums};
        cairn_parallel(context, tiles, sum_of_squares_task, &call);
        for (size_t i = 0; i < tiles; i++) total += sums[i];
    }
    *sum = total;
    return CAIRN_STATUS_OK;
}

static void adam_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const optimizer_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->adam_kernel(&call->adam, r.end - r.begin, call->p + r.begin, call->g + r.begin,
                      call->m + r.begin, call->v + r.begin);
}

static cairn_status adam(cairn_context *context, cairn_adam_kernel *kernel,
                         const cairn_adam_config *config, uint64_t t, size_t count, float *p,
                         const float *g, float *m, float *v) {
    if (!cairn_is_adam_config(config, t)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const optimizer_call call = {.count = count, .adam_kernel = kernel,
                                 .adam = cairn_adam_scalars_of(config, t), .p = p, .g = g,
                                 .m = m, .v = v};
    cairn_parallel(context, cairn_tiles(count, GRAIN), adam_task, &call);
    return CAIRN_STATUS_OK;
}

cairn_status cairn_adam_step(cairn_context *context, const cairn_adam_config *config, uint64_t t,
                             size_t count, float *p, const float *g, float *m, float *v) {
    return adam(context, context->kernels->optimizer->adam_step, config, t, count, p, g, m, v);
}

cairn_status cairn_adamw_step(cairn_context *context, const cairn_adam_config *config, uint64_t t,
                              size_t count, float *p, const float *g, float *m, float *v) {
    return adam(context, context->kernels->optimizer->adamw_step, config, t, count, p, g, m, v);
}

static void sgd_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const optimizer_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->sgd_kernel(&call->sgd, r.end - r.begin, call->p + r.begin, call->g + r.begin,
                     call->m ? call->m + r.begin : NULL);
}

cairn_status cairn_sgd_step(cairn_context *context, const cairn_sgd_config *config, size_t count,
                            float *p, const float *g, float *u) {
    if (!cairn_is_sgd_config(config, u != NULL)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const cairn_optimizer_kernels *kernels = context->kernels->optimizer;
    const optimizer_call call = {
        .count = count,
        .sgd_kernel = config->nesterov ? kernels->nesterov_step : kernels->sgd_step,
        .sgd = cairn_sgd_scalars_of(config), .p = p, .g = g,
        .m = config->momentum > 0 ? u : NULL};
    cairn_parallel(context, cairn_tiles(count, GRAIN), sgd_task, &call);
    return CAIRN_STATUS_OK;
}

static void lion_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const optimizer_call *call = arguments;
    const cairn_range r = cairn_tile(call->count, GRAIN, tile);
    call->kernels->lion_step(&call->lion, r.end - r.begin, call->p + r.begin, call->g + r.begin,
                             call->m + r.begin);
}

cairn_status cairn_lion_step(cairn_context *context, const cairn_lion_config *config, size_t count,
                             float *p, const float *g, float *m) {
    if (!cairn_is_lion_config(config)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const optimizer_call call = {.kernels = context->kernels->optimizer, .count = count,
                                 .lion = cairn_lion_scalars_of(config), .p = p, .g = g, .m = m};
    cairn_parallel(context, cairn_tiles(count, GRAIN), lion_task, &call);
    return CAIRN_STATUS_OK;
}
