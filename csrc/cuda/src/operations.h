// SPDX-License-Identifier: Apache-2.0
/// Every entry of `cairn_backend` that this engine has: all of them.

#ifndef CAIRN_CUDA_OPERATIONS_H
#define CAIRN_CUDA_OPERATIONS_H

#include <type_traits>

#include "platform.h"

/// The table's functions in its order. backend.cu refuses to compile when one is missing.
#define CAIRN_CUDA_OPERATIONS(X) \
    X(allocate) X(release) X(zero) X(copy_in) X(copy_out) X(finish) X(failure) \
    X(matmul) X(matmul_adapted) X(matmul_gradient) X(quantize_int8) X(quantize_nf4) X(matmul_int8) \
    X(attention_forward) X(attention_backward) X(rope) \
    X(rms_norm_forward) X(rms_norm_backward) X(rms_norm_weight_gradient) \
    X(layer_norm_forward) X(layer_norm_backward) X(layer_norm_weight_gradient) \
    X(activation_forward) X(activation_slope) X(activation_backward) \
    X(gated_forward) X(gated_backward) \
    X(add) X(multiply) X(scale) \
    X(scale_columns_forward) X(scale_columns_backward) X(scale_columns_gradient) \
    X(dora_norm) X(bias_gradient) X(widen) \
    X(embedding_forward) X(embedding_gradient) X(gather_rows) X(scatter_rows) \
    X(mean_rows_forward) X(mean_rows_backward) \
    X(softmax) X(cross_entropy) X(binary_cross_entropy) X(squared_error) \
    X(sum_of_squares) X(adam_step) X(adamw_step) X(sgd_step) X(lion_step) \
    X(dropout)

namespace cairn {

// One declaration per entry, with the type that the table gives it.
#define CAIRN_DECLARE(name) \
    std::remove_pointer<decltype(cairn_backend::name)>::type name##_on_device;
CAIRN_CUDA_OPERATIONS(CAIRN_DECLARE)
#undef CAIRN_DECLARE

}  // namespace cairn

#endif
