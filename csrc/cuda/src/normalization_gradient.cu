// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm toward their weights, in groups (cairn_normalization.h).

#include "groups.cuh"

namespace cairn {
inline namespace kernels {

__global__ void __launch_bounds__(COLUMN_BLOCK)
rms_weight_sum(Groups groups, size_t repeats, size_t width, const float *x,
               const float *inverse_rms, const float *dy) {
    const size_t j = (size_t)blockIdx.x * COLUMN_BLOCK + threadIdx.x;
    if (j >= width) return;
    sum_column(groups, repeats, j, [=](size_t t, float sum) {
        return fmaf(dy[t * width + j], x[t * width + j] * inverse_rms[t], sum);
    });
}

__global__ void __launch_bounds__(COLUMN_BLOCK)
layer_weight_sum(Groups groups, size_t width, const float *x, const float *mean,
                 const float *inverse_deviation, const float *dy) {
    const size_t j = (size_t)blockIdx.x * COLUMN_BLOCK + threadIdx.x;
    if (j >= width) return;
    sum_column(groups, 1, j, [=](size_t t, float sum) {
        return fmaf(dy[t * width + j], (x[t * width + j] - mean[t]) * inverse_deviation[t], sum);
    });
}

}  // namespace kernels

cairn_status rms_norm_weight_gradient_on_device(cairn_context *context,
                                                const cairn_partition *partition, size_t repeats,
                                                size_t width, const float *x,
                                                const float *inverse_rms, const float *dy,
                                                cairn_gradient dw) {
    if (!is_valid(partition)) return CAIRN_STATUS_INVALID_ARGUMENT;
    for (size_t g = 0; width > 0 && g < partition->group_count; g += GROUPS)
        LAUNCH(rms_weight_sum, dim3(column_blocks(width)), dim3(COLUMN_BLOCK), 0, context->stream,
               groups_from(partition, g, dw), repeats, width, x, inverse_rms, dy);
    return launched(context, "rms_norm_weight_gradient");
}

cairn_status layer_norm_weight_gradient_on_device(cairn_context *context,
                                                  const cairn_partition *partition, size_t width,
                                                  const float *x, const float *mean,
                                                  const float *inverse_deviation, const float *dy,
                                                  cairn_gradient dw, cairn_gradient db) {
    if (!is_valid(partition)) return CAIRN_STATUS_INVALID_ARGUMENT;
    for (size_t g = 0; width > 0 && g < partition->group_count; g += GROUPS)
        LAUNCH(layer_weight_sum, dim3(column_blocks(width)), dim3(COLUMN_BLOCK), 0,
               context->stream, groups_from(partition, g, dw), width, x, mean, inverse_deviation,
               dy);
    const cairn_status status = launched(context, "layer_norm_weight_gradient");
    return status == CAIRN_STATUS_OK ? bias_gradient_on_device(context, partition, width, dy, db)
                                     : status;
}

}  // namespace cairn
