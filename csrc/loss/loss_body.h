// SPDX-License-Identifier: Apache-2.0
/// The loss kernels, written once; every build_*.c includes this file under its own target.

/// Elements whose terms are added per lane before they join the sum: bounds the rounding of long rows.
enum { SUM_BLOCK = 1024 };

/// The maximum of a row; some number when the row holds a NaN, which its exponentials then show.
CAIRN_INLINE float row_maximum(size_t classes, const float *x) {
    const float lowest = -__builtin_inff();
    v16 largest = v16_set(lowest);
    for (size_t j = 0; j < classes; j += LANES) {
        const size_t left = classes - j;
        largest = v16_max(largest, v16_fill_after(v16_load_some(x + j, left), left, lowest));
    }
    return v16_largest(largest);
}

/// The sum of exp(x - maximum); the terms are kept in `terms` unless that is null. x may be terms.
CAIRN_INLINE float exponential_sum(size_t classes, float maximum, const float *x, float *terms) {
    v16 sum = v16_zero();
    for (size_t begin = 0; begin < classes; begin += SUM_BLOCK) {
        const size_t end = classes - begin < SUM_BLOCK ? classes : begin + SUM_BLOCK;
        v16 block = v16_zero();
        for (size_t j = begin; j < end; j += LANES) {
            const size_t left = end - j;
            const v16 e = v16_exp_bounded(v16_load_some(x + j, left) - v16_set(maximum));
            if (terms) v16_store_some(terms + j, e, left);
            block += v16_fill_after(e, left, 0);
        }
        sum += block;
    }
    return v16_sum(sum);
}

static void softmax(size_t rows, size_t classes, const float *x, float *p) {
    for (size_t t = 0; t < rows; t++, x += classes, p += classes) {
        const float sum = exponential_sum(classes, row_maximum(classes, x), x, p);
        const v16 inverse = v16_set(1 / sum);
        for (size_t j = 0; j < classes; j += LANES)
            v16_store_some(p + j, v16_load_some(p + j, classes - j) * inverse, classes - j);
    }
}

/// Sum over c of w[c] (maximum - x[c]): the part of a smoothed loss without the logarithm.
CAIRN_INLINE float weighted_distance(size_t classes, float maximum, const float *x,
                                     const float *weights) {
    v16 sum = v16_zero();
    for (size_t begin = 0; begin < classes; begin += SUM_BLOCK) {
        const size_t end = classes - begin < SUM_BLOCK ? classes : begin + SUM_BLOCK;
        v16 block = v16_zero();
        for (size_t j = begin; j < end; j += LANES) {
            const size_t left = end - j;
            const v16 w = weights ? v16_load_some(weights + j, left) : v16_set(1);
            const v16 distance = v16_set(maximum) - v16_load_some(x + j, left);
            block = v16_fma(v16_fill_after(w, left, 0), v16_fill_after(distance, left, 0), block);
        }
        sum += block;
    }
    return v16_sum(sum);
}

/// d <- terms * factor - share * w, with terms in d already.
CAIRN_INLINE void smoothed_gradient(size_t classes, float factor, float share,
                                    const float *weights, float *d) {
    for (size_t j = 0; j < classes; j += LANES) {
        const size_t left = classes - j;
        v16 g = v16_load_some(d + j, left) * v16_set(factor);
        if (share != 0) {
            const v16 w = weights ? v16_load_some(weights + j, left) : v16_set(1);
            g = v16_fma(v16_set(-share), w, g);
        }
        v16_store_some(d + j, g, left);
    }
}

/// One row of the cross-entropy:
///
///     loss  = h (m - x[y] + L) + s (sum of w (m - x) + W L),   h = (1 - e) w[y], s = e / classes,
///     d[c]  = scale (p[c] (h + s W) - s w[c] - h [c = y]),     m the maximum, L = log sum e^(x - m)
CAIRN_INLINE void cross_entropy_row(const cairn_cross_entropy_config *config, float weight_sum,
                                    size_t classes, const float *x, size_t target, float *loss,
                                    float *d) {
    const float *weights = config->class_weights;
    const float smoothing = config->label_smoothing;
    const float hard = (1 - smoothing) * (weights ? weights[target] : 1);
    const float soft = smoothing / (float)classes;
    const float maximum = row_maximum(classes, x);
    const float distance = maximum - x[target];
    const float spread = smoothing > 0 ? weighted_distance(classes, maximum, x, weights) : 0;
    const float sum = exponential_sum(classes, maximum, x, d);
    float lanes[LANES];
    v16_store(lanes, v16_log(v16_set(sum)));
    float total = hard * (distance + lanes[0]);
    if (smoothing > 0) total += soft * fma1(weight_sum, lanes[0], spread);
    *loss = total;
    if (!d) return;
    const float factor = config->scale * fma1(soft, weight_sum, hard) / sum;
    smoothed_gradient(classes, factor, config->scale * soft, weights, d);
    d[target] -= config->scale * hard;
}

static void cross_entropy(const cairn_cross_entropy_config *config, float weight_sum, size_t rows,
                          size_t classes, const float *logits, const int32_t *targets,
                          float *losses, float *d_logits) {
    for (size_t t = 0; t < rows; t++) {
        float *d = d_logits ? d_logits + t * classes : NULL;
        if (targets[t] == config->ignore_index) {
            losses[t] = 0;
            if (d) memset(d, 0, classes * sizeof(float));
        } else {
            cross_entropy_row(config, weight_sum, classes, logits + t * classes,
                              (size_t)targets[t], losses + t, d);
        }
    }
}

static void binary_cross_entropy(size_t rows, size_t columns, float scale, const float *logits,
                                 const float *targets, float *losses, float *d_logits) {
    for (size_t t = 0; t < rows; t++) {
        v16 sum = v16_zero();
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t i = t * columns + j, left = columns - j;
            const v16 x = v16_load_some(logits + i, left), y = v16_load_some(targets + i, left);
            const v16 positive = v16_select(x < v16_zero(), v16_zero(), x);
            v16 slope;
            const v16 probability = v16_sigmoid(x, &slope);
            const v16 loss = v16_fma(-x, y, positive)
                + v16_log1p_unit(v16_exp_bounded(-v16_abs(x)));
            sum += v16_fill_after(loss, left, 0);
            if (d_logits) v16_store_some(d_logits + i, (probability - y) * v16_set(scale), left);
        }
        losses[t] = v16_sum(sum);
    }
}

static void squared_error(size_t rows, size_t columns, float scale, const float *x,
                          const float *targets, float *losses, float *dx) {
    for (size_t t = 0; t < rows; t++) {
        v16 sum = v16_zero();
        for (size_t j = 0; j < columns; j += LANES) {
            const size_t i = t * columns + j, left = columns - j;
            const v16 d = v16_load_some(x + i, left) - v16_load_some(targets + i, left);
            sum = v16_fma(d, d, sum);
            if (dx) v16_store_some(dx + i, d * v16_set(scale * 2), left);
        }
        losses[t] = v16_sum(sum);
    }
}

static const cairn_loss_kernels loss_kernels = {
    .softmax = softmax,
    .cross_entropy = cross_entropy,
    .binary_cross_entropy = binary_cross_entropy,
    .squared_error = squared_error,
};
