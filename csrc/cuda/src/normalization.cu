// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm, forward and toward their inputs (cairn_normalization.h).

#include "context.h"
#include "reduce.cuh"

namespace cairn {
inline namespace kernels {

/// 1 / sqrt(mean + epsilon); NaN when the squares have left the range of a float.
__device__ __forceinline__ float inverse_root(float mean, float epsilon) {
    return mean <= 0x1.fffffep127f ? 1 / sqrtf(mean + epsilon) : not_a_number();
}

template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK)
rms_forward(size_t rows, size_t width, float epsilon, const float *x, const void *w, int dtype,
            float *y, float *inverse_rms) {
    const RowPlace<THREADS> place;
    if (place.row >= rows) return;
    x += place.row * width;
    y += place.row * width;
    float squares = 0;
    for (size_t j = place.first; j < width; j += THREADS) squares = fmaf(x[j], x[j], squares);
    const float r = inverse_root(over_row<THREADS>(squares, Add()) / (float)width, epsilon);
    if (place.first == 0) inverse_rms[place.row] = r;
    for (size_t j = place.first; j < width; j += THREADS)
        y[j] = x[j] * r * load_weight(w, dtype, j);
}

template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK)
rms_backward(size_t rows, size_t width, const float *x, const void *w, int dtype,
             const float *inverse_rms, const float *dy, float *dx) {
    const RowPlace<THREADS> place;
    if (place.row >= rows) return;
    x += place.row * width;
    dy += place.row * width;
    dx += place.row * width;
    const float r = inverse_rms[place.row];
    float products = 0;
    for (size_t j = place.first; j < width; j += THREADS)
        products = fmaf(dy[j] * load_weight(w, dtype, j), x[j], products);
    const float pull = -(over_row<THREADS>(products, Add()) / (float)width * r * r);
    for (size_t j = place.first; j < width; j += THREADS)
        dx[j] = fmaf(x[j], pull, dy[j] * load_weight(w, dtype, j)) * r;
}

template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK)
layer_forward(size_t rows, size_t width, float epsilon, const float *x, const void *w,
              const void *b, int dtype, float *y, float *mean, float *inverse_deviation) {
    const RowPlace<THREADS> place;
    if (place.row >= rows) return;
    x += place.row * width;
    y += place.row * width;
    float sum = 0;
    for (size_t j = place.first; j < width; j += THREADS) sum += x[j];
    const float m = over_row<THREADS>(sum, Add()) / (float)width;
    float squares = 0;
    for (size_t j = place.first; j < width; j += THREADS) {
        const float d = x[j] - m;
        squares = fmaf(d, d, squares);
    }
    const float r = inverse_root(over_row<THREADS>(squares, Add()) / (float)width, epsilon);
    if (place.first == 0) {
        mean[place.row] = m;
        inverse_deviation[place.row] = r;
    }
    for (size_t j = place.first; j < width; j += THREADS)
        y[j] = fmaf((x[j] - m) * r, load_weight(w, dtype, j), load_weight(b, dtype, j));
}

/// dx = r (g - mean(g) - n mean(g n)), g = w dy, n = (x - mean) r.
template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK)
layer_backward(size_t rows, size_t width, const float *x, const void *w, int dtype,
               const float *mean, const float *inverse_deviation, const float *dy, float *dx) {
    const RowPlace<THREADS> place;
    if (place.row >= rows) return;
    x += place.row * width;
    dy += place.row * width;
    dx += place.row * width;
    const float m = mean[place.row], r = inverse_deviation[place.row];
    float sum = 0, products = 0;
    for (size_t j = place.first; j < width; j += THREADS) {
        const float g = dy[j] * load_weight(w, dtype, j);
        sum += g;
        products = fmaf(g, (x[j] - m) * r, products);
    }
    const float shift = over_row<THREADS>(sum, Add()) / (float)width;
    const float pull = -(over_row<THREADS>(products, Add()) / (float)width);
    for (size_t j = place.first; j < width; j += THREADS) {
        const float g = dy[j] * load_weight(w, dtype, j);
        dx[j] = fmaf((x[j] - m) * r, pull, g - shift) * r;
    }
}

bool is_invalid(size_t rows, size_t width, cairn_dtype dtype) {
    return multiply_overflows(rows, width) || !is_weight_type(dtype);
}

}  // namespace kernels

cairn_status rms_norm_forward_on_device(cairn_context *context, size_t rows, size_t width,
                                        float epsilon, const float *x, const void *w,
                                        cairn_dtype dtype, float *y, float *inverse_rms) {
    if (is_invalid(rows, width, dtype)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    LAUNCH_ROWS(rms_forward, context, rows, width, rows, width, epsilon, x, w, dtype, y,
                inverse_rms);
    return launched(context, "rms_norm_forward");
}

cairn_status rms_norm_backward_on_device(cairn_context *context, size_t rows, size_t width,
                                         const float *x, const void *w, cairn_dtype dtype,
                                         const float *inverse_rms, const float *dy, float *dx) {
    if (is_invalid(rows, width, dtype)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    LAUNCH_ROWS(rms_backward, context, rows, width, rows, width, x, w, dtype, inverse_rms, dy, dx);
    return launched(context, "rms_norm_backward");
}

cairn_status layer_norm_forward_on_device(cairn_context *context, size_t rows, size_t width,
                                          float epsilon, const float *x, const void *w,
                                          const void *b, cairn_dtype dtype, float *y, float *mean,
                                          float *inverse_deviation) {
    if (is_invalid(rows, width, dtype)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    LAUNCH_ROWS(layer_forward, context, rows, width, rows, width, epsilon, x, w, b, dtype, y, mean,
                inverse_deviation);
    return launched(context, "layer_norm_forward");
}

cairn_status layer_norm_backward_on_device(cairn_context *context, size_t rows, size_t width,
                                           const float *x, const void *w, cairn_dtype dtype,
                                           const float *mean, const float *inverse_deviation,
                                           const float *dy, float *dx) {
    if (is_invalid(rows, width, dtype)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    LAUNCH_ROWS(layer_backward, context, rows, width, rows, width, x, w, dtype, mean,
                inverse_deviation, dy, dx);
    return launched(context, "layer_norm_backward");
}

}  // namespace cairn
