// SPDX-License-Identifier: Apache-2.0
/// Softmax and losses against their formulas in double, and for equal bits.

#include "ops_check.h"

typedef struct operands {
    cairn_cross_entropy_config config;
    size_t rows, columns;
    float scale;
    const float *x, *targets;
    const int32_t *ids;
    bool in_place;
} operands;

static cairn_status probabilities(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_softmax(context, p->rows, p->columns, p->x, out);
}

/// Losses, then the gradient.
static cairn_status entropy(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    float *d = out + p->rows;
    if (p->in_place) memcpy(d, p->x, p->rows * p->columns * sizeof(float));
    return cairn_cross_entropy(context, &p->config, p->rows, p->columns, p->in_place ? d : p->x,
                               p->ids, out, d);
}

static cairn_status binary(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_binary_cross_entropy(context, p->rows, p->columns, p->scale, p->x, p->targets, out,
                                      out + p->rows);
}

static cairn_status squares(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_squared_error(context, p->rows, p->columns, p->scale, p->x, p->targets, out,
                               out + p->rows);
}

static double log_sum(const float *x, size_t count) {
    double largest = -INFINITY, sum = 0;
    for (size_t c = 0; c < count; c++) largest = fmax(largest, (double)x[c]);
    for (size_t c = 0; c < count; c++) sum += exp((double)x[c] - largest);
    return largest + log(sum);
}

static float *logits_of(size_t count) {
    float *x = random_floats(count);
    for (size_t i = 0; i < count; i++) x[i] = x[i] * 12 - 150;
    return x;
}

/// x - maximum is off by an ulp of 162, 1.6e-5 / 2 in each exponent; a sum adds count / 16 ulps.
static double lost(size_t classes) { return 2e-5 + (double)(classes < 1024 ? classes : 1024) * 1e-8; }

static void check_softmax(size_t rows, size_t classes) {
    float *x = logits_of(rows * classes);
    const operands p = {.rows = rows, .columns = classes, .x = x};
    float *found = run_everywhere("softmax", probabilities, &p, rows * classes);
    for (size_t i = 0; i < rows * classes; i++) {
        const double expected =
            exp((double)x[i] - log_sum(x + i / classes * classes, classes));
        check(near_enough((double)found[i], expected, lost(classes) * expected),
              "softmax of %zu: p[%zu] is %g, not %g", classes, i, (double)found[i], expected);
    }
    free(x), free(found);
}

static void check_entropy_row(const operands *p, size_t t, const float *found) {
    const float *x = p->x + t * p->columns, *d = found + p->rows + t * p->columns;
    const float *weights = p->config.class_weights;
    const double e = (double)p->config.label_smoothing, scale = (double)p->config.scale;
    const double sum = log_sum(x, p->columns), share = e / (double)p->columns;
    const size_t y = (size_t)p->ids[t];
    const double hard = (1 - e) * (weights ? (double)weights[y] : 1);
    double loss = hard * (sum - (double)x[y]), all = 0;
    for (size_t c = 0; c < p->columns; c++) {
        const double w = weights ? (double)weights[c] : 1;
        loss += share * w * (sum - (double)x[c]);
        all += w;
    }
    check(near_enough((double)found[t], loss, 2 * lost(p->columns) * (1 + fabs(loss))),
          "%zu classes: loss is %g, not %g", p->columns, (double)found[t], loss);
    for (size_t c = 0; c < p->columns; c++) {
        const double w = weights ? (double)weights[c] : 1;
        const double probability = exp((double)x[c] - sum) * (hard + share * all);
        const double slope = scale * (probability - share * w - (c == y ? hard : 0));
        const double bound = scale * lost(p->columns) * (probability + share * w);
        check(near_enough((double)d[c], slope, bound + scale * (c == y ? 1e-6 : 0)),
              "%zu classes: d[%zu] is %g, not %g", p->columns, c, (double)d[c], slope);
    }
}

static void check_entropy(size_t rows, size_t classes, bool weighted, float smoothing) {
    float *x = logits_of(rows * classes), *weights = random_floats(classes);
    int32_t *ids = exact(rows * sizeof(int32_t));
    for (size_t c = 0; c < classes; c++) weights[c] = weights[c] * weights[c] + 0.1f;
    for (size_t t = 0; t < rows; t++) ids[t] = t % 4 == 2 ? -100 : (int32_t)random_below(classes);
    operands p = {.config = {.class_weights = weighted ? weights : NULL,
                             .label_smoothing = smoothing, .ignore_index = -100, .scale = 0.25f},
                  .rows = rows, .columns = classes, .x = x, .ids = ids};
    const size_t count = rows + rows * classes;
    float *found = run_everywhere("cross-entropy", entropy, &p, count);
    for (size_t t = 0; t < rows; t++) {
        if (ids[t] >= 0) {
            check_entropy_row(&p, t, found);
            continue;
        }
        bool zero = found[t] == 0;
        for (size_t c = 0; c < classes; c++) zero = zero && found[rows + t * classes + c] == 0;
        check(zero, "an ignored row has a loss or a gradient");
    }
    p.in_place = true;
    float *again = run_everywhere("cross-entropy in place", entropy, &p, count);
    check(first_difference(again, found, count) == count, "in place it differs");
    float *alone = exact(rows * sizeof(float));
    check(cairn_cross_entropy(ops_contexts[0], &p.config, rows, classes, x, ids, alone, NULL)
              == CAIRN_STATUS_OK, "losses alone");
    check(first_difference(alone, found, rows) == rows, "without a gradient the losses differ");
    ids[rows / 2] = (int32_t)classes;
    check(entropy(ops_contexts[0], &p, again) == CAIRN_STATUS_INVALID_ARGUMENT,
          "a target past the classes was accepted");
    free(x), free(weights), free(ids), free(found), free(again), free(alone);
}

/// Whatever is not finite in a row makes all of its loss and gradient NaN, and no other row's.
static void check_special(size_t classes, size_t place) {
    const float bad[] = {NAN, INFINITY};
    for (size_t i = 0; i < 2; i++)
        for (int smooth = 0; smooth < 2; smooth++) {
            float *x = random_floats(3 * classes);
            const int32_t ids[] = {1, (int32_t)(classes - 1), 0};
            x[classes + place] = bad[i];
            const operands p = {.config = {.ignore_index = -100, .scale = 1,
                                           .label_smoothing = smooth ? 0.1f : 0},
                                .rows = 3, .columns = classes, .x = x, .ids = ids};
            float *found = run_everywhere("NaN entropy", entropy, &p, 3 + 3 * classes);
            float *soft = run_everywhere("NaN softmax", probabilities, &p, 3 * classes);
            for (size_t j = 0; j < 3 * classes; j++)
                check((found[3 + j] != found[3 + j]) == (j / classes == 1)
                          && (soft[j] != soft[j]) == (j / classes == 1),
                      "gradient or probability %zu beside a %g", j, (double)bad[i]);
            for (size_t t = 0; t < 3; t++)
                check((found[t] != found[t]) == (t == 1), "loss %zu beside a %g", t,
                      (double)bad[i]);
            free(x), free(found), free(soft);
        }
    float masked[] = {-INFINITY, 0, 0, -INFINITY};
    const operands p = {.rows = 1, .columns = 4, .x = masked};
    float *soft = run_everywhere("masked softmax", probabilities, &p, 4);
    check(soft[0] == 0 && soft[1] == 0.5f && soft[2] == 0.5f && soft[3] == 0,
          "-Inf is not a probability of 0");
    free(soft);
}

static void check_binary(size_t rows, size_t columns) {
    float *x = random_floats(rows * columns), *targets = random_floats(rows * columns);
    for (size_t i = 0; i < rows * columns; i++) x[i] *= 20, targets[i] = fabsf(targets[i]);
    operands p = {.rows = rows, .columns = columns, .scale = 0.5f, .x = x, .targets = targets};
    const size_t count = rows + rows * columns;
    float *found = run_everywhere("binary cross-entropy", binary, &p, count);
    float *square = run_everywhere("squared error", squares, &p, count);
    for (size_t t = 0; t < rows; t++) {
        double loss = 0, error = 0, size = 0;
        for (size_t i = t * columns; i < (t + 1) * columns; i++) {
            const double v = (double)x[i], y = (double)targets[i];
            const double term = fmax(v, 0) - v * y + log1p(exp(-fabs(v)));
            loss += term;
            size += fabs(v) + 1;
            error += (v - y) * (v - y);
            check(near_enough((double)found[rows + i], 0.5 * (1 / (1 + exp(-v)) - y), 2e-7),
                  "binary gradient %zu", i);
            check(square[rows + i] == x[i] - targets[i], "squared error's gradient %zu", i);
        }
        const double bound = ((double)columns / 16 + 8) * 0x1p-23;
        check(near_enough((double)found[t], loss, bound * size), "binary loss is %g, not %g",
              (double)found[t], loss);
        check(near_enough((double)square[t], error, bound * (error + 1)),
              "squared error is %g, not %g", (double)square[t], error);
    }
    if (rows > 1 && columns > 3) {
        x[2] = NAN;
        float *bad = run_everywhere("NaN", binary, &p, count);
        check(bad[0] != bad[0] && bad[rows + 2] != bad[rows + 2] && bad[1] == bad[1],
              "a NaN was lost");
        free(bad);
    }
    free(x), free(targets), free(found), free(square);
}

int main(void) {
    make_all_contexts();
    for (size_t n = 1; n < OPS_LENGTHS; n++) {
        const size_t classes = ops_lengths[n];
        check_softmax(5, classes);
        check_binary(5, classes);
        for (int i = 0; i < 4; i++) check_entropy(7, classes, i % 2, i / 2 ? 0.1f : 0);
        if (classes > 1)
            for (size_t place = 0; place < classes; place += 1 + classes / 5)
                check_special(classes, place);
    }
    check_entropy(3, 49152, false, 0);
    check_entropy(3, 49153, true, 0.1f);
    check_softmax(500, 2);
    check_binary(0, 16);
    destroy_all_contexts();
    return summary();
}
