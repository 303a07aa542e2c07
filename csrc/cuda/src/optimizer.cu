// SPDX-License-Identifier: Apache-2.0
/// Gradient norm and parameter updates, each in one pass (cairn_optimizer.h).

#include "../../optimizer/optimizer_scalars.h"
#include "loop.cuh"
#include "math.cuh"

namespace cairn {
inline namespace kernels {

/// Elements of one partial sum, whatever the grid: its order is that of the elements.
constexpr size_t SQUARES = 4096;

/// The sum over a block in a fixed tree, in thread 0.
__device__ __forceinline__ double sum_of_block(double value) {
    __shared__ double parts[LOOP_BLOCK];
    parts[threadIdx.x] = value;
    __syncthreads();  // SYNC:squares-publish
    for (unsigned half = LOOP_BLOCK / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();  // SYNC:squares-tree
    }
    return parts[0];
}

__global__ void __launch_bounds__(LOOP_BLOCK)
squares(size_t count, const float *x, double *sums) {
    const size_t begin = blockIdx.x * SQUARES;
    const size_t end = begin + SQUARES < count ? begin + SQUARES : count;
    double sum = 0;
    for (size_t i = begin + threadIdx.x; i < end; i += LOOP_BLOCK) {
        const double value = (double)x[i];
        sum += value * value;  // The product of two floats is exact in double.
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// One block: the sum of all partial sums goes in front of them.
__global__ void __launch_bounds__(LOOP_BLOCK) total(size_t tiles, const double *sums, double *sum) {
    double part = 0;
    for (size_t i = threadIdx.x; i < tiles; i += LOOP_BLOCK) part += sums[i];
    part = sum_of_block(part);
    if (threadIdx.x == 0) *sum = part;
}

/// Adam and AdamW, which differ in where the weight decay goes.
__global__ void __launch_bounds__(LOOP_BLOCK)
adam_update(cairn_adam_scalars c, bool decoupled, size_t count, float *__restrict__ p,
            const float *__restrict__ g, float *__restrict__ m, float *__restrict__ v) {
    for (Loop i(count); i; ++i) {
        const float parameter = p[i.at];
        float gradient = g[i.at] * c.gradient_scale;
        if (!decoupled) gradient = fmaf(c.decay, parameter, gradient);
        const float first = fmaf(c.beta1, m[i.at], c.beta1_rest * gradient);
        const float second = fmaf(c.beta2, v[i.at], c.beta2_rest * gradient * gradient);
        const float update = c.step * first / fmaf(sqrtf(second), c.root, c.epsilon);
        m[i.at] = first;
        v[i.at] = second;
        p[i.at] = fmaf(parameter, decoupled ? c.keep : 1, -update);
    }
}

/// u may be null: no momentum.
__global__ void __launch_bounds__(LOOP_BLOCK)
sgd_update(float scale, float decay, float momentum, float rate, bool nesterov, size_t count,
           float *__restrict__ p, const float *__restrict__ g, float *__restrict__ u) {
    for (Loop i(count); i; ++i) {
        const float parameter = p[i.at];
        float direction = fmaf(decay, parameter, g[i.at] * scale);
        if (u) {
            const float velocity = fmaf(momentum, u[i.at], direction);
            u[i.at] = velocity;
            direction = nesterov ? fmaf(momentum, velocity, direction) : velocity;
        }
        p[i.at] = fmaf(-rate, direction, parameter);
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
lion_update(cairn_lion_scalars c, size_t count, float *__restrict__ p, const float *__restrict__ g,
            float *__restrict__ m) {
    for (Loop i(count); i; ++i) {
        const float gradient = g[i.at] * c.gradient_scale, first = m[i.at];
        const float blend = fmaf(c.beta1, first, c.beta1_rest * gradient);
        // A zero moves nothing, and NaN is its own sign, so that it shows in p.
        const float sign = blend > 0 ? 1 : blend < 0 ? -1 : blend;
        p[i.at] = fmaf(p[i.at], c.keep, -(c.learning_rate * sign));
        m[i.at] = fmaf(c.beta2, first, c.beta2_rest * gradient);
    }
}

cairn_status adam(cairn_context *context, bool decoupled, const cairn_adam_config *config,
                  uint64_t t, size_t count, float *p, const float *g, float *m, float *v) {
    if (!cairn_is_adam_config(config, t)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(adam_update, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           cairn_adam_scalars_of(config, t), decoupled, count, p, g, m, v);
    return launched(context, decoupled ? "adamw_step" : "adam_step");
}

}  // namespace kernels

cairn_status sum_of_squares_on_device(cairn_context *context, size_t count, const float *x,
                                      double *sum) {
    *sum = 0;
    if (count == 0) return CAIRN_STATUS_OK;
    const size_t tiles = (count + SQUARES - 1) / SQUARES;
    double *sums = (double *)scratch(context, (tiles + 1) * sizeof(double));
    if (!sums) return context->failed;
    LAUNCH(squares, dim3((unsigned)tiles), dim3(LOOP_BLOCK), 0, context->stream, count, x,
           sums + 1);
    LAUNCH(total, dim3(1), dim3(LOOP_BLOCK), 0, context->stream, tiles, sums + 1, sums);
    const cairn_status status = launched(context, "sum_of_squares");
    if (status != CAIRN_STATUS_OK) return status;
    copy_out_on_device(context, sum, sums, sizeof *sum);
    return context->is_broken ? context->failed : CAIRN_STATUS_OK;
}

cairn_status adam_step_on_device(cairn_context *context, const cairn_adam_config *config,
                                 uint64_t t, size_t count, float *p, const float *g, float *m,
                                 float *v) {
    return adam(context, false, config, t, count, p, g, m, v);
}

cairn_status adamw_step_on_device(cairn_context *context, const cairn_adam_config *config,
                                  uint64_t t, size_t count, float *p, const float *g, float *m,
                                  float *v) {
    return adam(context, true, config, t, count, p, g, m, v);
}

cairn_status sgd_step_on_device(cairn_context *context, const cairn_sgd_config *config,
                                size_t count, float *p, const float *g, float *u) {
    if (!cairn_is_sgd_config(config, u != nullptr)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    const cairn_sgd_scalars c = cairn_sgd_scalars_of(config);
    LAUNCH(sgd_update, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           c.gradient_scale, c.weight_decay, c.momentum, c.learning_rate, config->nesterov, count,
           p, g, config->momentum > 0 ? u : nullptr);
    return launched(context, "sgd_step");
}

cairn_status lion_step_on_device(cairn_context *context, const cairn_lion_config *config,
                                 size_t count, float *p, const float *g, float *m) {
    if (!cairn_is_lion_config(config)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(lion_update, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           cairn_lion_scalars_of(config), count, p, g, m);
    return launched(context, "lion_step");
}

}  // namespace cairn
