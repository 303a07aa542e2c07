// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm against their formulas in double, and for equal bits.

#include "ops_check.h"

typedef struct operands {
    bool layer;
    size_t rows, width;
    float epsilon;
    const float *x, *dy, *mean, *inverse;
    const void *w, *b;
} operands;

/// y, then the inverse, then the mean.
static cairn_status forward(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    float *inverse = out + p->rows * p->width;
    if (!p->layer) {
        for (size_t t = 0; t < p->rows; t++) inverse[p->rows + t] = 0;
        return cairn_rms_norm_forward(context, p->rows, p->width, p->epsilon, p->x, p->w,
                                      CAIRN_DTYPE_F32, out, inverse);
    }
    return cairn_layer_norm_forward(context, p->rows, p->width, p->epsilon, p->x, p->w, p->b,
                                    CAIRN_DTYPE_F32, out, inverse + p->rows, inverse);
}

static cairn_status backward(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    if (!p->layer)
        return cairn_rms_norm_backward(context, p->rows, p->width, p->x, p->w, CAIRN_DTYPE_F32,
                                       p->inverse, p->dy, out);
    return cairn_layer_norm_backward(context, p->rows, p->width, p->x, p->w, CAIRN_DTYPE_F32,
                                     p->mean, p->inverse, p->dy, out);
}

/// One row of y in double.
static void define(const operands *p, const double *x, double *y) {
    const float *w = p->w, *b = p->b;
    double mean = 0, squares = 0;
    for (size_t j = 0; p->layer && j < p->width; j++) mean += x[j] / (double)p->width;
    for (size_t j = 0; j < p->width; j++) squares += (x[j] - mean) * (x[j] - mean);
    const double r = 1 / sqrt(squares / (double)p->width + (double)p->epsilon);
    for (size_t j = 0; j < p->width; j++)
        y[j] = (x[j] - mean) * r * (double)w[j] + (p->layer ? (double)b[j] : 0);
}

static double objective(const operands *p, const float *dy, const double *x, double *y) {
    define(p, x, y);
    double sum = 0;
    for (size_t j = 0; j < p->width; j++) sum += (double)dy[j] * y[j];
    return sum;
}

/// Sums of `width` terms over 16 lanes lose width / 16 + 5 roundings; six more are around them.
static void check_norm(bool layer, size_t rows, size_t width) {
    float *x = random_floats(rows * width), *dy = random_floats(rows * width);
    float *w = random_floats(width), *b = random_floats(width);
    for (size_t i = 0; i < rows * width; i++) x[i] = x[i] * 2 + (layer ? 1 : 0);
    operands p = {.layer = layer, .rows = rows, .width = width, .epsilon = 1e-2f, .x = x,
                  .dy = dy, .w = w, .b = b};
    const char *name = layer ? "LayerNorm" : "RMSNorm";
    float *y = run_everywhere(name, forward, &p, rows * width + 2 * rows);
    p.inverse = y + rows * width;
    p.mean = p.inverse + rows;
    float *dx = run_everywhere(name, backward, &p, rows * width);
    double *row = exact(width * sizeof(double)), *value = exact(width * sizeof(double));
    const double lost = ((double)width / 16 + 11) * 0x1p-24, h = 1e-5;
    for (size_t t = 0; t < rows; t++) {
        for (size_t j = 0; j < width; j++) row[j] = (double)x[t * width + j];
        define(&p, row, value);
        const double r = (double)p.inverse[t];
        for (size_t j = 0; j < width; j++)
            check(near_enough((double)y[t * width + j], value[j], (3 * r + 1) * 2 * lost),
                  "%s %zu x %zu: y[%zu, %zu] is %g, not %g", name, rows, width, t, j,
                  (double)y[t * width + j], value[j]);
        for (size_t j = 0; j < width; j += 1 + width / 50) {
            const double middle = row[j];
            row[j] = middle + h;
            const double above = objective(&p, dy + t * width, row, value);
            row[j] = middle - h;
            const double below = objective(&p, dy + t * width, row, value);
            row[j] = middle;
            const double slope = (above - below) / (2 * h);
            // Terms: g r, and n mean(g n) r with |n| <= 3 r.
            check(near_enough((double)dx[t * width + j], slope,
                              r * (1 + 9 * r * r) * 4 * lost + 1e-7),
                  "%s %zu x %zu: dx[%zu, %zu] is %g, not %g", name, rows, width, t, j,
                  (double)dx[t * width + j], slope);
        }
    }
    free(x), free(dy), free(w), free(b), free(y), free(dx), free(row), free(value);
}

static void check_special(bool layer) {
    enum { WIDTH = 20 };
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f};
    float w[WIDTH], b[WIDTH] = {0};
    for (size_t j = 0; j < WIDTH; j++) w[j] = 1;
    for (size_t i = 0; i < 4; i++) {
        float *x = random_floats(3 * WIDTH);
        x[WIDTH + 17] = bad[i];
        const operands p = {.layer = layer, .rows = 3, .width = WIDTH, .epsilon = 1e-6f, .x = x,
                            .w = w, .b = b};
        float *y = run_everywhere("special", forward, &p, 3 * WIDTH + 6);
        for (size_t j = 0; j < 3 * WIDTH; j++)
            check((y[j] != y[j]) == (j / WIDTH == 1), "%g in row 1: y[%zu] is %g", (double)bad[i],
                  j, (double)y[j]);
        free(x), free(y);
    }
}

int main(void) {
    make_all_contexts();
    for (int layer = 0; layer < 2; layer++) {
        for (size_t n = 1; n < OPS_LENGTHS; n++) check_norm(layer, 5, ops_lengths[n]);
        check_norm(layer, 700, 33);
        check_norm(layer, 0, 16);
        check_norm(layer, 2, 896);
        check_special(layer);
    }
    destroy_all_contexts();
    return summary();
}
