// SPDX-License-Identifier: Apache-2.0
/// Losses per row with the gradient of the logits, and softmax (cairn_loss.h).

#include "context.h"
#include "reduce.cuh"

namespace cairn {
inline namespace kernels {

/// The maximum of a row; some number when the row holds a NaN, which its exponentials then show.
template <int THREADS>
__device__ __forceinline__ float row_maximum(size_t first, size_t classes, const float *x) {
    float largest = -INFINITE;
    for (size_t j = first; j < classes; j += THREADS) largest = x[j] > largest ? x[j] : largest;
    return over_row<THREADS>(largest, Larger());
}

template <int THREADS>
__device__ __forceinline__ float exponential_sum(size_t first, size_t classes, float maximum,
                                                 const float *x) {
    float sum = 0;
    for (size_t j = first; j < classes; j += THREADS) sum += exp_bounded(x[j] - maximum);
    return over_row<THREADS>(sum, Add());
}

// x may be p: a thread writes only what it alone reads.
template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK)
softmax_rows(size_t rows, size_t classes, const float *x, float *p) {
    const RowPlace<THREADS> place;
    if (place.row >= rows) return;
    x += place.row * classes;
    p += place.row * classes;
    const float maximum = row_maximum<THREADS>(place.first, classes, x);
    const float inverse = 1 / exponential_sum<THREADS>(place.first, classes, maximum, x);
    for (size_t j = place.first; j < classes; j += THREADS)
        p[j] = exp_bounded(x[j] - maximum) * inverse;
}

/// The settings of a cross-entropy, as an argument of its kernel.
struct CrossEntropy {
    size_t rows, classes;
    const float *class_weights, *logits;
    const int32_t *targets;
    float *losses, *gradient;
    float smoothing, scale;
    int32_t ignore_index;
    uint32_t *faults;
};

/// One row:
///
///     loss  = h (m - x[y] + L) + s (sum of w (m - x) + W L),   h = (1 - e) w[y], s = e / classes,
///     d[c]  = scale (p[c] (h + s W) - s w[c] - h [c = y]),  m the maximum, L = log sum e^(x - m)
template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK) cross_entropy_rows(CrossEntropy c) {
    const RowPlace<THREADS> place;
    if (place.row >= c.rows) return;
    const float *x = c.logits + place.row * c.classes, *w = c.class_weights;
    float *d = c.gradient ? c.gradient + place.row * c.classes : nullptr;
    const int32_t target = c.targets[place.row];
    const bool is_class = target >= 0 && (size_t)target < c.classes;
    if (target == c.ignore_index || !is_class) {
        const float value = target == c.ignore_index ? 0 : not_a_number();
        if (target != c.ignore_index) atomicMax(c.faults, (uint32_t)FAULT_TARGET);
        if (place.first == 0) c.losses[place.row] = value;
        for (size_t j = place.first; d && j < c.classes; j += THREADS) d[j] = value;
        return;
    }
    const float hard = (1 - c.smoothing) * (w ? w[target] : 1);
    const float soft = c.smoothing / (float)c.classes, chosen = x[target];
    const float maximum = row_maximum<THREADS>(place.first, c.classes, x);
    float spread = 0, weight_sum = (float)c.classes;
    if (c.smoothing > 0) {
        float distances = 0, weights = 0;
        for (size_t j = place.first; j < c.classes; j += THREADS) {
            distances = fmaf(w ? w[j] : 1, maximum - x[j], distances);
            weights += w ? w[j] : 1;
        }
        spread = over_row<THREADS>(distances, Add());
        if (w) weight_sum = over_row<THREADS>(weights, Add());
    }
    const float sum = exponential_sum<THREADS>(place.first, c.classes, maximum, x);
    const float log_sum = log_of(sum);
    float loss = hard * (maximum - chosen + log_sum);
    if (c.smoothing > 0) loss += soft * fmaf(weight_sum, log_sum, spread);
    if (place.first == 0) c.losses[place.row] = loss;
    if (!d) return;
    // The gradient may lie where the logits do: every thread has read x[target] before one writes.
    if constexpr (THREADS > WARP)
        __syncthreads();
    else
        __syncwarp();
    const float factor = c.scale * fmaf(soft, weight_sum, hard) / sum, share = c.scale * soft;
    for (size_t j = place.first; j < c.classes; j += THREADS) {
        float g = exp_bounded(x[j] - maximum) * factor;
        if (share != 0) g = fmaf(-share, w ? w[j] : 1, g);
        d[j] = j == (size_t)target ? g - c.scale * hard : g;
    }
}

template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK)
binary_cross_entropy_rows(size_t rows, size_t columns, float scale, const float *logits,
                          const float *targets, float *losses, float *gradient) {
    const RowPlace<THREADS> place;
    if (place.row >= rows) return;
    float sum = 0;
    for (size_t j = place.first; j < columns; j += THREADS) {
        const size_t i = place.row * columns + j;
        const float x = logits[i], y = targets[i];
        float slope;
        const float probability = sigmoid(x, slope), positive = x < 0 ? 0 : x;
        sum += fmaf(-x, y, positive) + log1p_unit(exp_bounded(-fabsf(x)));
        if (gradient) gradient[i] = (probability - y) * scale;
    }
    sum = over_row<THREADS>(sum, Add());
    if (place.first == 0) losses[place.row] = sum;
}

template <int THREADS>
__global__ void __launch_bounds__(ROW_BLOCK)
squared_error_rows(size_t rows, size_t columns, float scale, const float *x, const float *targets,
                   float *losses, float *dx) {
    const RowPlace<THREADS> place;
    if (place.row >= rows) return;
    float sum = 0;
    for (size_t j = place.first; j < columns; j += THREADS) {
        const size_t i = place.row * columns + j;
        const float d = x[i] - targets[i];
        sum = fmaf(d, d, sum);
        if (dx) dx[i] = d * (scale * 2);
    }
    sum = over_row<THREADS>(sum, Add());
    if (place.first == 0) losses[place.row] = sum;
}

}  // namespace kernels

cairn_status softmax_on_device(cairn_context *context, size_t rows, size_t classes, const float *x,
                               float *p) {
    if (multiply_overflows(rows, classes)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    LAUNCH_ROWS(softmax_rows, context, rows, classes, rows, classes, x, p);
    return launched(context, "softmax");
}

cairn_status cross_entropy_on_device(cairn_context *context,
                                     const cairn_cross_entropy_config *config, size_t rows,
                                     size_t classes, const float *logits, const int32_t *targets,
                                     float *losses, float *d_logits) {
    if (!(config->label_smoothing >= 0 && config->label_smoothing < 1)
        || multiply_overflows(rows, classes))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    CrossEntropy c = {};
    c.rows = rows;
    c.classes = classes;
    c.class_weights = config->class_weights;
    c.logits = logits;
    c.targets = targets;
    c.losses = losses;
    c.gradient = d_logits;
    c.smoothing = config->label_smoothing;
    c.scale = config->scale;
    c.ignore_index = config->ignore_index;
    c.faults = context->faults;
    LAUNCH_ROWS(cross_entropy_rows, context, rows, classes, c);
    return launched(context, "cross_entropy");
}

cairn_status binary_cross_entropy_on_device(cairn_context *context, size_t rows, size_t columns,
                                            float scale, const float *logits, const float *targets,
                                            float *losses, float *d_logits) {
    if (multiply_overflows(rows, columns)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    LAUNCH_ROWS(binary_cross_entropy_rows, context, rows, columns, rows, columns, scale, logits,
                targets, losses, d_logits);
    return launched(context, "binary_cross_entropy");
}

cairn_status squared_error_on_device(cairn_context *context, size_t rows, size_t columns,
                                     float scale, const float *x, const float *targets,
                                     float *losses, float *dx) {
    if (multiply_overflows(rows, columns)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows == 0) return CAIRN_STATUS_OK;
    LAUNCH_ROWS(squared_error_rows, context, rows, columns, rows, columns, scale, x, targets,
                losses, dx);
    return launched(context, "squared_error");
}

}  // namespace cairn
