// SPDX-License-Identifier: Apache-2.0
/// The CPU's row of the backend seam: host memory and this library's own operations.

#include "core/core.h"

#include <stdlib.h>
#include <string.h>

static void *cpu_allocate(cairn_context *context, size_t bytes) {
    (void)context;
    return cairn_memory(bytes);
}

static void cpu_release(cairn_context *context, void *memory) {
    (void)context;
    free(memory);
}

static void cpu_zero(cairn_context *context, void *memory, size_t bytes) {
    (void)context;
    memset(memory, 0, bytes);
}

static void cpu_copy_in(cairn_context *context, void *device, const void *host, size_t bytes) {
    (void)context;
    memcpy(device, host, bytes);
}

static void cpu_copy_out(cairn_context *context, void *host, const void *device, size_t bytes) {
    (void)context;
    memcpy(host, device, bytes);
}

static cairn_status cpu_finish(cairn_context *context) {
    (void)context;
    return CAIRN_STATUS_OK;
}

static const char *cpu_failure(const cairn_context *context) {
    (void)context;
    return "";
}

const cairn_backend cairn_backend_cpu = {
    .name = "cpu",
    .allocate = cpu_allocate,
    .release = cpu_release,
    .zero = cpu_zero,
    .copy_in = cpu_copy_in,
    .copy_out = cpu_copy_out,
    .finish = cpu_finish,
    .failure = cpu_failure,
    .matmul = cairn_matmul,
    .matmul_adapted = cairn_matmul_adapted,
    .matmul_gradient = cairn_matmul_gradient,
    .quantize_int8 = cairn_quantize_int8,
    .quantize_nf4 = cairn_quantize_nf4,
    .matmul_int8 = cairn_matmul_int8,
    .attention_forward = cairn_attention_forward,
    .attention_backward = cairn_attention_backward,
    .rope = cairn_rope,
    .rms_norm_forward = cairn_rms_norm_forward,
    .rms_norm_backward = cairn_rms_norm_backward,
    .rms_norm_weight_gradient = cairn_rms_norm_weight_gradient,
    .layer_norm_forward = cairn_layer_norm_forward,
    .layer_norm_backward = cairn_layer_norm_backward,
    .layer_norm_weight_gradient = cairn_layer_norm_weight_gradient,
    .activation_forward = cairn_activation_forward,
    .activation_slope = cairn_activation_slope,
    .activation_backward = cairn_activation_backward,
    .gated_forward = cairn_gated_forward,
    .gated_backward = cairn_gated_backward,
    .add = cairn_add,
    .multiply = cairn_multiply,
    .scale = cairn_scale,
    .scale_columns_forward = cairn_scale_columns_forward,
    .scale_columns_backward = cairn_scale_columns_backward,
    .scale_columns_gradient = cairn_scale_columns_gradient,
    .dora_norm = cairn_dora_norm,
    .bias_gradient = cairn_bias_gradient,
    .widen = cairn_widen,
    .embedding_forward = cairn_embedding_forward,
    .embedding_gradient = cairn_embedding_gradient,
    .gather_rows = cairn_gather_rows,
    .scatter_rows = cairn_scatter_rows,
    .mean_rows_forward = cairn_mean_rows_forward,
    .mean_rows_backward = cairn_mean_rows_backward,
    .softmax = cairn_softmax,
    .cross_entropy = cairn_cross_entropy,
    .binary_cross_entropy = cairn_binary_cross_entropy,
    .squared_error = cairn_squared_error,
    .sum_of_squares = cairn_sum_of_squares,
    .adam_step = cairn_adam_step,
    .adamw_step = cairn_adamw_step,
    .sgd_step = cairn_sgd_step,
    .lion_step = cairn_lion_step,
    .dropout = cairn_dropout,
};
