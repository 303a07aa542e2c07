// SPDX-License-Identifier: Apache-2.0
/// Activations and gated units, written once; included by elementwise_body.h.

/// x within [-bound, bound], NaN kept: where a product with a vanishing factor must not be Inf * 0.
CAIRN_INLINE v16 v16_clamp(v16 x, float bound) {
    const v16 low = v16_select(x < v16_set(-bound), v16_set(-bound), x);
    return v16_select(low > v16_set(bound), v16_set(bound), low);
}

/// f(x), and f'(x) in *slope.
CAIRN_INLINE v16 activate(cairn_activation function, v16 x, v16 *slope) {
    const v16 one = v16_set(1);
    v16 first, density;
    switch (function) {
    case CAIRN_ACTIVATION_SILU:
        first = v16_sigmoid(x, &density);
        *slope = v16_fma(v16_clamp(x, 128), density, first);
        return x * first;
    case CAIRN_ACTIVATION_GELU:
        first = v16_normal(x, &density);
        *slope = v16_fma(v16_clamp(x, 128), density, first);
        return x * first;
    case CAIRN_ACTIVATION_GELU_TANH: {
        // (1 + tanh u) / 2 = sigmoid(2 u), 2 u = 2 sqrt(2 / pi) (x + 0.044715 x^3).
        const v16 c = v16_clamp(x, 32), square = c * c;
        const v16 a = v16_set(1.59576912f), b = v16_set(0.0713548163f);
        first = v16_sigmoid(c * v16_fma(square, b, a), &density);
        *slope = v16_fma(c * v16_fma(square, b * v16_set(3), a), density, first);
        return x * first;
    }
    case CAIRN_ACTIVATION_RELU:
        *slope = v16_select(x > v16_zero(), one, v16_select(x == x, v16_zero(), x));
        // The sum flushes a denormal, as arithmetic does everywhere. A bare choice between x and 0
        // would keep it, but for the instruction sets that have a maximum for it, which flush it.
        return v16_select(x < v16_zero(), v16_zero(), x + v16_zero());
    case CAIRN_ACTIVATION_TANH:
        return v16_tanh(x, slope);
    }
}

CAIRN_INLINE void activation_forward_of(cairn_activation function, size_t count, const float *x,
                                        float *y) {
    v16 slope;
    for (size_t i = 0; i < count; i += LANES) {
        const v16 value = v16_load_some(x + i, count - i);
        v16_store_some(y + i, activate(function, value, &slope), count - i);
    }
}

CAIRN_INLINE void activation_slope_of(cairn_activation function, size_t count, const float *x,
                                      float *y, float *slopes) {
    v16 slope;
    for (size_t i = 0; i < count; i += LANES) {
        const v16 value = activate(function, v16_load_some(x + i, count - i), &slope);
        v16_store_some(y + i, value, count - i);
        v16_store_some(slopes + i, slope, count - i);
    }
}

CAIRN_INLINE void activation_backward_of(cairn_activation function, size_t count, const float *x,
                                         const float *dy, float *dx) {
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        v16 slope;
        activate(function, v16_load_some(x + i, left), &slope);
        v16_store_some(dx + i, v16_load_some(dy + i, left) * slope, left);
    }
}

CAIRN_INLINE void gated_forward_of(cairn_activation function, size_t count, const float *gate,
                                   const float *up, float *y) {
    v16 slope;
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const v16 value = activate(function, v16_load_some(gate + i, left), &slope);
        v16_store_some(y + i, value * v16_load_some(up + i, left), left);
    }
}

CAIRN_INLINE void gated_backward_of(cairn_activation function, size_t count, const float *gate,
                                    const float *up, const float *dy, float *d_gate,
                                    float *d_up) {
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        v16 slope;
        const v16 value = activate(function, v16_load_some(gate + i, left), &slope);
        const v16 d = v16_load_some(dy + i, left), u = v16_load_some(up + i, left);
        v16_store_some(d_gate + i, d * u * slope, left);
        v16_store_some(d_up + i, d * value, left);
    }
}

// Each switch makes a loop per function, its polynomial inlined.

static void activation_forward(cairn_activation function, size_t count, const float *x, float *y) {
    switch (function) {
    case CAIRN_ACTIVATION_SILU:
        return activation_forward_of(CAIRN_ACTIVATION_SILU, count, x, y);
    case CAIRN_ACTIVATION_GELU:
        return activation_forward_of(CAIRN_ACTIVATION_GELU, count, x, y);
    case CAIRN_ACTIVATION_GELU_TANH:
        return activation_forward_of(CAIRN_ACTIVATION_GELU_TANH, count, x, y);
    case CAIRN_ACTIVATION_RELU:
        return activation_forward_of(CAIRN_ACTIVATION_RELU, count, x, y);
    case CAIRN_ACTIVATION_TANH:
        return activation_forward_of(CAIRN_ACTIVATION_TANH, count, x, y);
    }
}

static void activation_slope(cairn_activation function, size_t count, const float *x, float *y,
                             float *slopes) {
    switch (function) {
    case CAIRN_ACTIVATION_SILU:
        return activation_slope_of(CAIRN_ACTIVATION_SILU, count, x, y, slopes);
    case CAIRN_ACTIVATION_GELU:
        return activation_slope_of(CAIRN_ACTIVATION_GELU, count, x, y, slopes);
    case CAIRN_ACTIVATION_GELU_TANH:
        return activation_slope_of(CAIRN_ACTIVATION_GELU_TANH, count, x, y, slopes);
    case CAIRN_ACTIVATION_RELU:
        return activation_slope_of(CAIRN_ACTIVATION_RELU, count, x, y, slopes);
    case CAIRN_ACTIVATION_TANH:
        return activation_slope_of(CAIRN_ACTIVATION_TANH, count, x, y, slopes);
    }
}

static void activation_backward(cairn_activation function, size_t count, const float *x,
                                const float *dy, float *dx) {
    switch (function) {
    case CAIRN_ACTIVATION_SILU:
        return activation_backward_of(CAIRN_ACTIVATION_SILU, count, x, dy, dx);
    case CAIRN_ACTIVATION_GELU:
        return activation_backward_of(CAIRN_ACTIVATION_GELU, count, x, dy, dx);
    case CAIRN_ACTIVATION_GELU_TANH:
        return activation_backward_of(CAIRN_ACTIVATION_GELU_TANH, count, x, dy, dx);
    case CAIRN_ACTIVATION_RELU:
        return activation_backward_of(CAIRN_ACTIVATION_RELU, count, x, dy, dx);
    case CAIRN_ACTIVATION_TANH:
        return activation_backward_of(CAIRN_ACTIVATION_TANH, count, x, dy, dx);
    }
}

static void gated_forward(cairn_activation function, size_t count, const float *gate,
                          const float *up, float *y) {
    switch (function) {
    case CAIRN_ACTIVATION_SILU:
        return gated_forward_of(CAIRN_ACTIVATION_SILU, count, gate, up, y);
    case CAIRN_ACTIVATION_GELU:
        return gated_forward_of(CAIRN_ACTIVATION_GELU, count, gate, up, y);
    case CAIRN_ACTIVATION_GELU_TANH:
        return gated_forward_of(CAIRN_ACTIVATION_GELU_TANH, count, gate, up, y);
    case CAIRN_ACTIVATION_RELU:
        return gated_forward_of(CAIRN_ACTIVATION_RELU, count, gate, up, y);
    case CAIRN_ACTIVATION_TANH:
        return gated_forward_of(CAIRN_ACTIVATION_TANH, count, gate, up, y);
    }
}

static void gated_backward(cairn_activation function, size_t count, const float *gate,
                           const float *up, const float *dy, float *d_gate, float *d_up) {
    switch (function) {
    case CAIRN_ACTIVATION_SILU:
        return gated_backward_of(CAIRN_ACTIVATION_SILU, count, gate, up, dy, d_gate, d_up);
    case CAIRN_ACTIVATION_GELU:
        return gated_backward_of(CAIRN_ACTIVATION_GELU, count, gate, up, dy, d_gate, d_up);
    case CAIRN_ACTIVATION_GELU_TANH:
        return gated_backward_of(CAIRN_ACTIVATION_GELU_TANH, count, gate, up, dy, d_gate, d_up);
    case CAIRN_ACTIVATION_RELU:
        return gated_backward_of(CAIRN_ACTIVATION_RELU, count, gate, up, dy, d_gate, d_up);
    case CAIRN_ACTIVATION_TANH:
        return gated_backward_of(CAIRN_ACTIVATION_TANH, count, gate, up, dy, d_gate, d_up);
    }
}
