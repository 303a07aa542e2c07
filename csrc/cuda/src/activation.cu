// SPDX-License-Identifier: Apache-2.0
/// Activations and gated units (cairn_elementwise.h).

#include "loop.cuh"
#include "math.cuh"

namespace cairn {
inline namespace kernels {

/// x within [-bound, bound], NaN kept: where a product with a vanishing factor must not be Inf * 0.
__device__ __forceinline__ float clamp(float x, float bound) {
    const float low = x < -bound ? -bound : x;
    return low > bound ? bound : low;
}

/// f(x), and f'(x) in `slope`.
__device__ __forceinline__ float activate(int function, float x, float &slope) {
    float density;
    switch (function) {
    case CAIRN_ACTIVATION_SILU: {
        const float first = sigmoid(x, density);
        slope = fmaf(clamp(x, 128), density, first);
        return x * first;
    }
    case CAIRN_ACTIVATION_GELU: {
        const float first = normal(x, density);
        slope = fmaf(clamp(x, 128), density, first);
        return x * first;
    }
    case CAIRN_ACTIVATION_GELU_TANH: {
        // (1 + tanh u) / 2 = sigmoid(2 u), 2 u = 2 sqrt(2 / pi) (x + 0.044715 x^3).
        const float c = clamp(x, 32), square = c * c, a = 1.59576912f, b = 0.0713548163f;
        const float first = sigmoid(c * fmaf(square, b, a), density);
        slope = fmaf(c * fmaf(square, b * 3, a), density, first);
        return x * first;
    }
    case CAIRN_ACTIVATION_RELU:
        slope = x > 0 ? 1 : x == x ? 0 : x;
        return x < 0 ? 0 : x + 0;
    default:
        return tanh_of(x, slope);
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
activate_forward(int function, size_t count, const float *x, float *y) {
    float slope;
    for (Loop i(count); i; ++i) y[i.at] = activate(function, x[i.at], slope);
}

// x may be y or slopes: a thread has read its element before it writes.
__global__ void __launch_bounds__(LOOP_BLOCK)
activate_slope(int function, size_t count, const float *x, float *y, float *slopes) {
    for (Loop i(count); i; ++i) {
        float slope;
        const float value = activate(function, x[i.at], slope);
        y[i.at] = value;
        slopes[i.at] = slope;
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
activate_backward(int function, size_t count, const float *x, const float *dy, float *dx) {
    for (Loop i(count); i; ++i) {
        float slope;
        activate(function, x[i.at], slope);
        dx[i.at] = dy[i.at] * slope;
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
gate_forward(int function, size_t count, const float *gate, const float *up, float *y) {
    float slope;
    for (Loop i(count); i; ++i) y[i.at] = activate(function, gate[i.at], slope) * up[i.at];
}

__global__ void __launch_bounds__(LOOP_BLOCK)
gate_backward(int function, size_t count, const float *gate, const float *up, const float *dy,
              float *d_gate, float *d_up) {
    for (Loop i(count); i; ++i) {
        float slope;
        const float value = activate(function, gate[i.at], slope);
        const float d = dy[i.at], factor = up[i.at];
        d_gate[i.at] = d * factor * slope;
        d_up[i.at] = d * value;
    }
}

bool is_activation(cairn_activation function) {
    return function >= CAIRN_ACTIVATION_SILU && function <= CAIRN_ACTIVATION_TANH;
}

}  // namespace kernels

cairn_status activation_forward_on_device(cairn_context *context, cairn_activation function,
                                          size_t count, const float *x, float *y) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(activate_forward, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           function, count, x, y);
    return launched(context, "activation_forward");
}

cairn_status activation_slope_on_device(cairn_context *context, cairn_activation function,
                                        size_t count, const float *x, float *y, float *slope) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(activate_slope, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           function, count, x, y, slope);
    return launched(context, "activation_slope");
}

cairn_status activation_backward_on_device(cairn_context *context, cairn_activation function,
                                           size_t count, const float *x, const float *dy,
                                           float *dx) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(activate_backward, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           function, count, x, dy, dx);
    return launched(context, "activation_backward");
}

cairn_status gated_forward_on_device(cairn_context *context, cairn_activation function,
                                     size_t count, const float *gate, const float *up, float *y) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(gate_forward, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           function, count, gate, up, y);
    return launched(context, "gated_forward");
}

cairn_status gated_backward_on_device(cairn_context *context, cairn_activation function,
                                      size_t count, const float *gate, const float *up,
                                      const float *dy, float *d_gate, float *d_up) {
    if (!is_activation(function)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(gate_backward, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           function, count, gate, up, dy, d_gate, d_up);
    return launched(context, "gated_backward");
}

}  // namespace cairn
