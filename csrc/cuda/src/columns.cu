// SPDX-License-Identifier: Apache-2.0
/// Operations with one number per column: DoRA's factor and norm, biases (cairn_elementwise.h).

#include "groups.cuh"
#include "loop.cuh"
#include "reduce.cuh"

namespace cairn {
inline namespace kernels {

__global__ void __launch_bounds__(LOOP_BLOCK)
scale_columns(size_t count, size_t width, const float *z, const float *numerator,
              const float *denominator, const float *bias, float *y) {
    for (Loop i(count); i; ++i) {
        const size_t j = i.at % width;
        const float factor = numerator[j] / denominator[j];
        y[i.at] = bias ? fmaf(z[i.at], factor, bias[j]) : z[i.at] * factor;
    }
}

__global__ void __launch_bounds__(COLUMN_BLOCK)
scale_columns_sum(Groups groups, size_t width, const float *dy, const float *z,
                  const float *denominator) {
    const size_t j = (size_t)blockIdx.x * COLUMN_BLOCK + threadIdx.x;
    if (j >= width) return;
    const float factor = 1 / denominator[j];
    sum_column(groups, 1, j, [=](size_t t, float sum) {
        return fmaf(dy[t * width + j], z[t * width + j] * factor, sum);
    });
}

__global__ void __launch_bounds__(COLUMN_BLOCK)
bias_sum(Groups groups, size_t width, const float *dy) {
    const size_t j = (size_t)blockIdx.x * COLUMN_BLOCK + threadIdx.x;
    if (j >= width) return;
    sum_column(groups, 1, j, [=](size_t t, float sum) { return sum + dy[t * width + j]; });
}

/// A block per row of W.
__global__ void __launch_bounds__(ROW_BLOCK)
dora_norms(size_t in, size_t rank, float scale, const void *w, int dtype, const float *a,
           const float *b, float *norm) {
    const size_t o = blockIdx.x;
    float sum = 0;
    for (size_t j = threadIdx.x; j < in; j += ROW_BLOCK) {
        float low = 0;
        for (size_t r = 0; r < rank; r++) low = fmaf(b[o * rank + r], a[r * in + j], low);
        const float value = fmaf(scale, low, load_weight(w, dtype, o * in + j));
        sum = fmaf(value, value, sum);
    }
    sum = over_row<ROW_BLOCK>(sum, Add());
    if (threadIdx.x == 0) norm[o] = sqrtf(sum);
}

}  // namespace kernels

cairn_status scale_columns_forward_on_device(cairn_context *context, size_t rows, size_t width,
                                             const float *z, const float *numerator,
                                             const float *denominator, const float *bias,
                                             float *y) {
    if (multiply_overflows(rows, width)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows * width == 0) return CAIRN_STATUS_OK;
    LAUNCH(scale_columns, loop_blocks(context, rows * width), dim3(LOOP_BLOCK), 0,
           context->stream, rows * width, width, z, numerator, denominator, bias, y);
    return launched(context, "scale_columns");
}

cairn_status scale_columns_backward_on_device(cairn_context *context, size_t rows, size_t width,
                                              const float *dy, const float *numerator,
                                              const float *denominator, float *dz) {
    return scale_columns_forward_on_device(context, rows, width, dy, numerator, denominator,
                                           nullptr, dz);
}

cairn_status scale_columns_gradient_on_device(cairn_context *context,
                                              const cairn_partition *partition, size_t width,
                                              const float *dy, const float *z,
                                              const float *denominator,
                                              cairn_gradient d_numerator) {
    if (!is_valid(partition)) return CAIRN_STATUS_INVALID_ARGUMENT;
    for (size_t g = 0; width > 0 && g < partition->group_count; g += GROUPS)
        LAUNCH(scale_columns_sum, dim3(column_blocks(width)), dim3(COLUMN_BLOCK), 0,
               context->stream, groups_from(partition, g, d_numerator), width, dy, z, denominator);
    return launched(context, "scale_columns_gradient");
}

cairn_status bias_gradient_on_device(cairn_context *context, const cairn_partition *partition,
                                     size_t width, const float *dy, cairn_gradient db) {
    if (!is_valid(partition)) return CAIRN_STATUS_INVALID_ARGUMENT;
    for (size_t g = 0; width > 0 && g < partition->group_count; g += GROUPS)
        LAUNCH(bias_sum, dim3(column_blocks(width)), dim3(COLUMN_BLOCK), 0, context->stream,
               groups_from(partition, g, db), width, dy);
    return launched(context, "bias_gradient");
}

cairn_status dora_norm_on_device(cairn_context *context, size_t out, size_t in, size_t rank,
                                 float scale, const void *w, cairn_dtype dtype, const float *a,
                                 const float *b, float *norm) {
    if (multiply_overflows(out, in) || !is_weight_type(dtype)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (out == 0) return CAIRN_STATUS_OK;
    LAUNCH(dora_norms, dim3((unsigned)out), dim3(ROW_BLOCK), 0, context->stream, in, rank, scale,
           w, dtype, a, b, norm);
    return launched(context, "dora_norm");
}

}  // namespace cairn
