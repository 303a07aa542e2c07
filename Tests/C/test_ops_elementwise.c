// SPDX-License-Identifier: Apache-2.0
/// Elementwise and per-column operations against their formulas in double, and for equal bits.

#include "ops_check.h"

typedef struct operands {
    size_t count, rows, width, rank;
    cairn_activation function;
    float scale;
    const float *a, *b, *c, *d;
    const void *weights;
    cairn_dtype dtype;
} operands;

static cairn_status activation(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_activation_forward(context, p->function, p->count, p->a, out);
}

static cairn_status activation_gradient(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_activation_backward(context, p->function, p->count, p->a, p->b, out);
}

static cairn_status gated(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_gated_forward(context, p->function, p->count, p->a, p->b, out);
}

static cairn_status gated_gradient(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_gated_backward(context, p->function, p->count, p->a, p->b, p->c, out,
                                out + p->count);
}

static cairn_status sum(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_add(context, p->count, p->a, p->scale, p->b, out);
}

static cairn_status product(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_multiply(context, p->count, p->a, p->b, out);
}

static cairn_status scaled(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_scale(context, p->count, p->scale, p->a, out);
}

/// y, then dx as the product with the slope; x is given up for the slope.
static cairn_status activation_slope(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    float *slope = out + p->count;
    memcpy(slope, p->a, p->count * sizeof(float));
    const cairn_status status =
        cairn_activation_slope(context, p->function, p->count, slope, out, slope);
    if (status != CAIRN_STATUS_OK) return status;
    return cairn_multiply(context, p->count, p->b, slope, slope);
}

static double exact_activation(cairn_activation function, double x) {
    switch (function) {
    case CAIRN_ACTIVATION_SILU: return x / (1 + exp(-x));
    case CAIRN_ACTIVATION_GELU: return x * erfc(-x * 0.70710678118654752440) / 2;
    case CAIRN_ACTIVATION_GELU_TANH:
        return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case CAIRN_ACTIVATION_RELU: return x > 0 ? x : 0;
    case CAIRN_ACTIVATION_TANH: return tanh(x);
    }
}

/// Central difference; relu is asked away from 0 only.
static double exact_slope(cairn_activation function, double x) {
    const double h = 1e-5;
    return (exact_activation(function, x + h) - exact_activation(function, x - h)) / (2 * h);
}

static float *spread_floats(size_t count, float spread) {
    float *x = random_floats(count);
    for (size_t i = 0; i < count; i++) x[i] *= spread;
    return x;
}

/// 8 ulps of the value: the function's own 5.6 and two products. gelu_tanh loses |2u| ulps more in
/// the argument of its exponential, where the value itself is below e^-|2u|.
static void check_activation(cairn_activation function, size_t count) {
    float *x = spread_floats(count, count % 2 ? 4 : 30), *up = random_floats(count);
    float *dy = random_floats(count);
    const operands p = {.count = count, .function = function, .a = x, .b = up, .c = dy};
    float *y = run_everywhere("activation", activation, &p, count);
    float *dx = run_everywhere("activation's gradient", activation_gradient, &p, count);
    float *both = run_everywhere("activation with its slope", activation_slope, &p, 2 * count);
    check(memcmp(both, y, count * sizeof(float)) == 0, "activation %d with its slope: y", function);
    check(memcmp(both + count, dx, count * sizeof(float)) == 0,
          "activation %d with its slope: dx", function);
    free(both);
    float *g = run_everywhere("gated", gated, &p, count);
    float *dg = run_everywhere("gated gradient", gated_gradient, &p, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const double value = exact_activation(function, (double)x[i]);
        const double slope = exact_slope(function, (double)x[i]);
        const double bound = 8 * 0x1p-23 * fabs(value) + 1e-7 * (value > -0.3 && value < 0);
        const double slope_bound = 1e-6 * (1 + fabs(slope));
        const double u = (double)up[i], d = (double)dy[i];
        check(near_enough((double)y[i], value, bound), "f%d(%g) is %g, not %g", (int)function,
              (double)x[i], (double)y[i], value);
        check(near_enough((double)dx[i], u * slope, slope_bound), "f%d'(%g) is %g, not %g",
              (int)function, (double)x[i], (double)dx[i], u * slope);
        check(near_enough((double)g[i], value * u, bound + 1e-37), "gated f%d", (int)function);
        check(near_enough((double)dg[i], d * u * slope, slope_bound), "d_gate f%d", (int)function);
        check(near_enough((double)dg[count + i], d * value, bound + 1e-37), "d_up f%d",
              (int)function);
    }
    free(x), free(up), free(dy), free(y), free(dx), free(g), free(dg);
}

static void check_special(void) {
    const float x[] = {NAN, INFINITY, -INFINITY, 1, 0, -0.0f};
    const float value[5][2] = {
        {INFINITY, NAN}, {INFINITY, NAN}, {INFINITY, NAN}, {INFINITY, 0}, {1, -1}};
    const float slope[5][2] = {{1, 0}, {1, 0}, {1, 0}, {1, 0}, {0, 0}};
    const float ones[] = {1, 1, 1, NAN, 1, 1};
    for (int f = 0; f < 5; f++) {
        const operands p = {.count = 6, .function = (cairn_activation)f, .a = x, .b = ones};
        float *y = run_everywhere("special", activation, &p, 6);
        float *dx = run_everywhere("special gradient", activation_gradient, &p, 6);
        check(y[0] != y[0] && dx[0] != dx[0] && dx[3] != dx[3], "f%d lost a NaN", f);
        check(same_float(y[1], value[f][0]) && same_float(y[2], value[f][1]),
              "f%d of Inf is %g, of -Inf %g", f, (double)y[1], (double)y[2]);
        check(same_float(dx[1], slope[f][0]) && same_float(dx[2], slope[f][1]),
              "f%d' at Inf is %g, at -Inf %g", f, (double)dx[1], (double)dx[2]);
        check(y[4] == 0 && y[5] == 0, "f%d(0) is not 0", f);
        free(y), free(dx);
    }
}

static void check_arithmetic(size_t count) {
    float *a = random_floats(count), *b = random_floats(count);
    const operands p = {.count = count, .scale = 0.3f, .a = a, .b = b};
    float *s = run_everywhere("add", sum, &p, count);
    float *m = run_everywhere("multiply", product, &p, count);
    float *t = run_everywhere("scale", scaled, &p, count);
    for (size_t i = 0; i < count; i++) {
        check(s[i] == fmaf(0.3f, b[i], a[i]), "sum %zu", i);
        check(m[i] == a[i] * b[i], "product %zu", i);
        check(t[i] == 0.3f * a[i], "scaled %zu", i);
    }
    free(a), free(b), free(s), free(m), free(t);
}

static cairn_status widened(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_widen(context, p->count, p->weights, p->dtype, out);
}

static double exact_half(uint16_t bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == 31) return mantissa ? (double)NAN : sign * (double)INFINITY;
    return sign * ldexp(exponent ? 1024 + mantissa : mantissa, (exponent ? exponent : 1) - 25);
}

/// Every half-precision and every bf16 number but the denormals of the latter.
static void check_widening(void) {
    enum { ALL = 65536 };
    uint16_t *words = exact(ALL * sizeof(uint16_t));
    for (size_t i = 0; i < ALL; i++) words[i] = (uint16_t)i;
    operands p = {.count = ALL, .weights = words, .dtype = CAIRN_DTYPE_F16};
    float *half = run_everywhere("fp16", widened, &p, ALL);
    p.dtype = CAIRN_DTYPE_BF16;
    float *brain = run_everywhere("bf16", widened, &p, ALL);
    for (size_t i = 0; i < ALL; i++) {
        const uint32_t bits = (uint32_t)i << 16;
        float expected;
        memcpy(&expected, &bits, sizeof expected);
        check(same_float(half[i], (float)exact_half((uint16_t)i)), "fp16 %04zx is %g", i,
              (double)half[i]);
        check(same_float(brain[i], expected), "bf16 %04zx is %g", i, (double)brain[i]);
    }
    free(words), free(half), free(brain);
    for (size_t n = 0; n < OPS_LENGTHS; n++) {
        float *x = random_floats(ops_lengths[n]);
        p = (operands){.count = ops_lengths[n], .weights = x};
        float *y = run_everywhere("fp32", widened, &p, p.count);
        check(first_difference(x, y, p.count) == p.count, "widened fp32 differs");
        p.dtype = CAIRN_DTYPE_F16;
        free(run_everywhere("fp16", widened, &p, p.count));
        free(x), free(y);
    }
}

static cairn_status columns(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    const cairn_status status = cairn_scale_columns_forward(context, p->rows, p->width, p->a, p->b,
                                                            p->c, p->d, out);
    if (status != CAIRN_STATUS_OK) return status;
    return cairn_scale_columns_backward(context, p->rows, p->width, p->a, p->b, p->c,
                                        out + p->rows * p->width);
}

static void check_columns(size_t rows, size_t width) {
    const size_t count = rows * width;
    float *z = random_floats(count), *numerator = random_floats(width);
    float *denominator = random_floats(width), *bias = random_floats(width);
    for (size_t j = 0; j < width; j++) denominator[j] += 2;
    operands p = {.rows = rows, .width = width, .a = z, .b = numerator, .c = denominator};
    float *plain = run_everywhere("columns", columns, &p, 2 * count);
    p.d = bias;
    float *shifted = run_everywhere("columns with bias", columns, &p, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const size_t j = i % width;
        const double value = (double)z[i] * (double)numerator[j] / (double)denominator[j];
        check(near_enough((double)plain[i], value, 0x1p-22 * fabs(value)), "column product");
        check(plain[i] == plain[count + i], "the backward factor differs");
        check(near_enough((double)shifted[i], value + (double)bias[j], 0x1p-22), "column bias");
    }
    free(z), free(numerator), free(denominator), free(bias), free(plain), free(shifted);
}

static cairn_status norm(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_dora_norm(context, p->rows, p->width, p->rank, p->scale, p->weights, p->dtype,
                           p->a, p->b, out);
}

static void check_norm(size_t out, size_t in, size_t rank) {
    float *w = random_floats(out * in), *a = random_floats(rank * in);
    float *b = random_floats(out * rank);
    const operands p = {.rows = out, .width = in, .rank = rank, .scale = 0.7f, .weights = w,
                        .a = a, .b = b};
    float *found = run_everywhere("dora norm", norm, &p, out);
    for (size_t o = 0; o < out; o++) {
        double squares = 0;
        for (size_t i = 0; i < in; i++) {
            double value = 0;
            for (size_t r = 0; r < rank; r++)
                value += (double)b[o * rank + r] * (double)a[r * in + i];
            value = (double)w[o * in + i] + (double)p.scale * value;
            squares += value * value;
        }
        const double bound = ((double)(in / 16 + rank) + 8) * 0x1p-23 * (sqrt(squares) + 1);
        check(near_enough((double)found[o], sqrt(squares), bound), "norm %zu is %g, not %g", o,
              (double)found[o], sqrt(squares));
    }
    free(w), free(a), free(b), free(found);
}

int main(void) {
    make_all_contexts();
    for (size_t n = 0; n < OPS_LENGTHS; n++) {
        for (int f = 0; f < 5; f++) check_activation((cairn_activation)f, ops_lengths[n]);
        check_arithmetic(ops_lengths[n]);
        check_columns(7, ops_lengths[n]);
        check_norm(19, ops_lengths[n], n);
    }
    check_activation(CAIRN_ACTIVATION_SILU, 100000);
    check_arithmetic(50001);
    check_columns(300, 130);
    check_special();
    check_widening();
    destroy_all_contexts();
    return summary();
}
