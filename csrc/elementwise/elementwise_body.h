// SPDX-License-Identifier: Apache-2.0
/// The elementwise kernels, written once; every build_*.c includes this file under its own target.

#include "elementwise/activation_body.h"
#include "math/gradient_body.h"

static void add(size_t count, const float *a, float scale, const float *b, float *y) {
    const v16 factor = v16_set(scale);
    for (size_t i = 0; i < count; i += LANES) {
        const v16 left = v16_load_some(a + i, count - i), right = v16_load_some(b + i, count - i);
        v16_store_some(y + i, v16_fma(factor, right, left), count - i);
    }
}

static void multiply(size_t count, const float *a, const float *b, float *y) {
    for (size_t i = 0; i < count; i += LANES) {
        const v16 left = v16_load_some(a + i, count - i), right = v16_load_some(b + i, count - i);
        v16_store_some(y + i, left * right, count - i);
    }
}

static void scale_all(size_t count, float scale, const float *x, float *y) {
    for (size_t i = 0; i < count; i += LANES)
        v16_store_some(y + i, v16_load_some(x + i, count - i) * v16_set(scale), count - i);
}

static void scale_columns(size_t rows, size_t width, const float *z, const float *numerator,
                          const float *denominator, const float *bias, float *y) {
    for (size_t j = 0; j < width; j += LANES) {
        const size_t left = width - j;
        const v16 factor =
            v16_load_some(numerator + j, left) / v16_load_some(denominator + j, left);
        const v16 shift = bias ? v16_load_some(bias + j, left) : v16_zero();
        for (size_t t = 0; t < rows; t++) {
            const v16 value = v16_load_some(z + t * width + j, left);
            v16_store_some(y + t * width + j,
                           bias ? v16_fma(value, factor, shift) : value * factor, left);
        }
    }
}

/// acc <- fma(dy, z (1 / denominator), acc) for each row of a group.
static void scale_columns_gradient(const cairn_partition *partition, size_t width, size_t begin,
                                   size_t end, const float *dy, const float *z,
                                   const float *denominator, cairn_gradient gradient) {
    v16 factor[GRADIENT_VECTORS], acc[GRADIENT_VECTORS];
    for (size_t v = 0; v < GRADIENT_VECTORS && begin + v * LANES < end; v++) {
        const size_t j = begin + v * LANES;
        factor[v] = v16_set(1) / v16_load_some(denominator + j, end - j);
    }
    for (size_t g = 0; g < partition->group_count; g++) {
        const cairn_group group = cairn_partition_group(partition, g);
        gradient_begin(group, gradient, begin, end, acc);
        for (size_t t = group.begin; t < group.end; t++)
            for (size_t v = 0; v < GRADIENT_VECTORS && begin + v * LANES < end; v++) {
                const size_t j = begin + v * LANES, i = t * width + j;
                acc[v] = v16_fma(v16_load_some(dy + i, end - j),
                                 v16_load_some(z + i, end - j) * factor[v], acc[v]);
            }
        gradient_end(group, gradient, begin, end, acc);
    }
}

static void bias_gradient(const cairn_partition *partition, size_t width, size_t begin, size_t end,
                          const float *dy, cairn_gradient gradient) {
    v16 acc[GRADIENT_VECTORS];
    for (size_t g = 0; g < partition->group_count; g++) {
        const cairn_group group = cairn_partition_group(partition, g);
        gradient_begin(group, gradient, begin, end, acc);
        for (size_t t = group.begin; t < group.end; t++)
            for (size_t v = 0; v < GRADIENT_VECTORS && begin + v * LANES < end; v++) {
                const size_t j = begin + v * LANES;
                acc[v] += v16_load_some(dy + t * width + j, end - j);
            }
        gradient_end(group, gradient, begin, end, acc);
    }
}

static void dora_norm(size_t begin, size_t end, size_t in, size_t rank, float scale, const void *w,
                      cairn_dtype dtype, const float *a, const float *b, float *norm) {
    enum { ROWS = 4 };
    for (size_t o = begin; o < end; o += ROWS) {
        const size_t rows = end - o < ROWS ? end - o : ROWS;
        v16 sums[ROWS];
        for (size_t i = 0; i < ROWS; i++) sums[i] = v16_zero();
        for (size_t j = 0; j < in; j += LANES) {
            v16 low[ROWS];
            for (size_t i = 0; i < ROWS; i++) low[i] = v16_zero();
            for (size_t r = 0; r < rank; r++) {
                const v16 row = v16_load_some(a + r * in + j, in - j);
                for (size_t i = 0; i < rows; i++)
                    low[i] = v16_fma(v16_set(b[(o + i) * rank + r]), row, low[i]);
            }
            for (size_t i = 0; i < rows; i++) {
                const v16 base = v16_load_weights(w, dtype, (o + i) * in + j, in - j);
                const v16 sum = v16_fma(v16_set(scale), low[i], base);
                sums[i] = v16_fma(sum, sum, sums[i]);
            }
        }
        for (size_t i = 0; i < rows; i++) norm[o + i] = __builtin_sqrtf(v16_sum(sums[i]));
    }
}

static void widen(size_t index, size_t count, const void *source, cairn_dtype dtype,
                  float *destination) {
    for (size_t i = 0; i < count; i += LANES)
        v16_store_some(destination + i, v16_load_weights(source, dtype, index + i, count - i),
                       count - i);
}

static const cairn_elementwise_kernels elementwise_kernels = {
    .activation_forward = activation_forward,
    .activation_slope = activation_slope,
    .activation_backward = activation_backward,
    .gated_forward = gated_forward,
    .gated_backward = gated_backward,
    .add = add,
    .multiply = multiply,
    .scale = scale_all,
    .scale_columns = scale_columns,
    .scale_columns_gradient = scale_columns_gradient,
    .bias_gradient = bias_gradient,
    .dora_norm = dora_norm,
    .widen = widen,
};
