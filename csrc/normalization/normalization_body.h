// SPDX-License-Identifier: Apache-2.0
/// The normalization kernels, written once; every build_*.c includes this file under its own target.

#include "math/gradient_body.h"

/// 1 / sqrt(mean + epsilon); NaN when the squares have left the range of a float.
CAIRN_INLINE float inverse_root(float mean, float epsilon) {
    if (!(mean <= 0x1.fffffep127f)) return __builtin_nanf("");
    return 1 / __builtin_sqrtf(mean + epsilon);
}

static void rms_norm_forward(size_t rows, size_t width, float epsilon, const float *x,
                             const void *w, cairn_dtype dtype, float *y, float *inverse_rms) {
    for (size_t t = 0; t < rows; t++, x += width, y += width) {
        v16 squares = v16_zero();
        for (size_t j = 0; j < width; j += LANES) {
            const v16 value = v16_load_some(x + j, width - j);
            squares = v16_fma(value, value, squares);
        }
        const float r = inverse_root(v16_sum(squares) / (float)width, epsilon);
        inverse_rms[t] = r;
        for (size_t j = 0; j < width; j += LANES) {
            const size_t left = width - j;
            const v16 normal = v16_load_some(x + j, left) * v16_set(r);
            v16_store_some(y + j, normal * v16_load_weights(w, dtype, j, left), left);
        }
    }
}

static void rms_norm_backward(size_t rows, size_t width, const float *x, const void *w,
                              cairn_dtype dtype, const float *inverse_rms, const float *dy,
                              float *dx) {
    for (size_t t = 0; t < rows; t++, x += width, dy += width, dx += width) {
        const float r = inverse_rms[t];
        v16 products = v16_zero();
        for (size_t j = 0; j < width; j += LANES) {
            const size_t left = width - j;
            const v16 g = v16_load_some(dy + j, left) * v16_load_weights(w, dtype, j, left);
            products = v16_fma(g, v16_load_some(x + j, left), products);
        }
        const v16 pull = v16_set(-(v16_sum(products) / (float)width * r * r));
        for (size_t j = 0; j < width; j += LANES) {
            const size_t left = width - j;
            const v16 g = v16_load_some(dy + j, left) * v16_load_weights(w, dtype, j, left);
            const v16 value = v16_load_some(x + j, left);
            v16_store_some(dx + j, v16_fma(value, pull, g) * v16_set(r), left);
        }
    }
}

/// acc <- fma(dy, x r, acc) for each run of each row of a group.
static void rms_norm_weight_gradient(const cairn_partition *partition, size_t repeats,
                                     size_t width, size_t begin, size_t end, const float *x,
                                     const float *inverse_rms, const float *dy,
                                     cairn_gradient dw) {
    v16 acc[GRADIENT_VECTORS];
    for (size_t g = 0; g < partition->group_count; g++) {
        const cairn_group group = cairn_partition_group(partition, g);
        gradient_begin(group, dw, begin, end, acc);
        for (size_t t = group.begin * repeats; t < group.end * repeats; t++) {
            const v16 r = v16_set(inverse_rms[t]);
            for (size_t j = begin, v = 0; j < end; j += LANES, v++) {
                const size_t i = t * width + j, left = end - j;
                acc[v] = v16_fma(v16_load_some(dy + i, left), v16_load_some(x + i, left) * r,
                                 acc[v]);
            }
        }
        gradient_end(group, dw, begin, end, acc);
    }
}

CAIRN_INLINE float row_mean(size_t width, const float *x) {
    v16 sum = v16_zero();
    for (size_t j = 0; j < width; j += LANES) sum += v16_load_some(x + j, width - j);
    return v16_sum(sum) / (float)width;
}

static void layer_norm_forward(size_t rows, size_t width, float epsilon, const float *x,
                               const void *w, const void *b, cairn_dtype dtype, float *y,
                               float *mean, float *inverse_deviation) {
    for (size_t t = 0; t < rows; t++, x += width, y += width) {
        const float m = row_mean(width, x);
        v16 squares = v16_zero();
        for (size_t j = 0; j < width; j += LANES) {
            const size_t left = width - j;
            const v16 d = v16_fill_after(v16_load_some(x + j, left) - v16_set(m), left, 0);
            squares = v16_fma(d, d, squares);
        }
        const float r = inverse_root(v16_sum(squares) / (float)width, epsilon);
        mean[t] = m;
        inverse_deviation[t] = r;
        for (size_t j = 0; j < width; j += LANES) {
            const size_t left = width - j;
            const v16 normal = (v16_load_some(x + j, left) - v16_set(m)) * v16_set(r);
            v16_store_some(y + j,
                           v16_fma(normal, v16_load_weights(w, dtype, j, left),
                                   v16_load_weights(b, dtype, j, left)),
                           left);
        }
    }
}

/// dx = r (g - mean(g) - n mean(g n)), g = w dy, n = (x - mean) r.
static void layer_norm_backward(size_t rows, size_t width, const float *x, const void *w,
                                cairn_dtype dtype, const float *mean,
                                const float *inverse_deviation, const float *dy, float *dx) {
    for (size_t t = 0; t < rows; t++, x += width, dy += width, dx += width) {
        const v16 m = v16_set(mean[t]), r = v16_set(inverse_deviation[t]);
        v16 sum = v16_zero(), products = v16_zero();
        for (size_t j = 0; j < width; j += LANES) {
            const size_t left = width - j;
            const v16 g = v16_load_some(dy + j, left) * v16_load_weights(w, dtype, j, left);
            sum += g;
            products = v16_fma(g, (v16_load_some(x + j, left) - m) * r, products);
        }
        const v16 shift = v16_set(v16_sum(sum) / (float)width);
        const v16 pull = v16_set(-(v16_sum(products) / (float)width));
        for (size_t j = 0; j < width; j += LANES) {
            const size_t left = width - j;
            const v16 g = v16_load_some(dy + j, left) * v16_load_weights(w, dtype, j, left);
            const v16 n = (v16_load_some(x + j, left) - m) * r;
            v16_store_some(dx + j, v16_fma(n, pull, g - shift) * r, left);
        }
    }
}

/// dw <- fma(dy, (x - mean) r, dw) and db <- dy + db for each row of a group.
static void layer_norm_weight_gradient(const cairn_partition *partition, size_t width,
                                       size_t begin, size_t end, const float *x, const float *mean,
                                       const float *inverse_deviation, const float *dy,
                                       cairn_gradient dw, cairn_gradient db) {
    v16 weights[GRADIENT_VECTORS], biases[GRADIENT_VECTORS];
    for (size_t g = 0; g < partition->group_count; g++) {
        const cairn_group group = cairn_partition_group(partition, g);
        gradient_begin(group, dw, begin, end, weights);
        gradient_begin(group, db, begin, end, biases);
        for (size_t t = group.begin; t < group.end; t++) {
            const v16 m = v16_set(mean[t]), r = v16_set(inverse_deviation[t]);
            for (size_t j = begin, v = 0; j < end; j += LANES, v++) {
                const size_t i = t * width + j, left = end - j;
                const v16 d = v16_load_some(dy + i, left);
                weights[v] = v16_fma(d, (v16_load_some(x + i, left) - m) * r, weights[v]);
                biases[v] += d;
            }
        }
        gradient_end(group, dw, begin, end, weights);
        gradient_end(group, db, begin, end, biases);
    }
}

static const cairn_normalization_kernels normalization_kernels = {
    .rms_norm_forward = rms_norm_forward,
    .rms_norm_backward = rms_norm_backward,
    .rms_norm_weight_gradient = rms_norm_weight_gradient,
    .layer_norm_forward = layer_norm_forward,
    .layer_norm_backward = layer_norm_backward,
    .layer_norm_weight_gradient = layer_norm_weight_gradient,
};
