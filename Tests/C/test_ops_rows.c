// SPDX-License-Identifier: Apache-2.0
/// Operations on rows against their definitions, and for equal bits.

#include "ops_check.h"

typedef struct operands {
    size_t count, rows, width, vocabulary;
    const int32_t *ids;
    const uint32_t *indices;
    const void *table;
    cairn_dtype dtype;
    const float *x;
} operands;

static cairn_status embed(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_embedding_forward(context, p->rows, p->width, p->vocabulary, p->ids, p->table,
                                   p->dtype, out);
}

static cairn_status gather(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_gather_rows(context, p->count, p->rows, p->width, p->indices, p->x, out);
}

static cairn_status scatter(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_scatter_rows(context, p->count, p->rows, p->width, p->indices, p->x, out);
}

static cairn_status mean(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_mean_rows_forward(context, p->count, p->width, p->indices, p->x, out);
}

static cairn_status mean_gradient(cairn_context *context, const void *in, float *out) {
    const operands *p = in;
    return cairn_mean_rows_backward(context, p->count, p->width, p->indices, p->x, out);
}

static void check_embedding(size_t rows, size_t width) {
    enum { VOCABULARY = 23 };
    float *table = random_floats(VOCABULARY * width);
    uint16_t *brain = exact(VOCABULARY * width * sizeof(uint16_t));
    for (size_t i = 0; i < VOCABULARY * width; i++) {
        uint32_t bits;
        memcpy(&bits, table + i, sizeof bits);
        brain[i] = (uint16_t)(bits >> 16);
    }
    int32_t *ids = exact(rows * sizeof(int32_t));
    for (size_t t = 0; t < rows; t++) ids[t] = (int32_t)random_below(VOCABULARY);
    operands p = {.rows = rows, .width = width, .vocabulary = VOCABULARY, .ids = ids,
                  .table = table, .dtype = CAIRN_DTYPE_F32};
    float *full = run_everywhere("embedding", embed, &p, rows * width);
    p.table = brain;
    p.dtype = CAIRN_DTYPE_BF16;
    float *half = run_everywhere("embedding of bf16", embed, &p, rows * width);
    for (size_t i = 0; i < rows * width; i++) {
        const float value = table[(size_t)ids[i / width] * width + i % width];
        const uint32_t bits = (uint32_t)brain[(size_t)ids[i / width] * width + i % width] << 16;
        float short_value;
        memcpy(&short_value, &bits, sizeof bits);
        check(full[i] == value, "embedding element %zu", i);
        check(half[i] == short_value, "bf16 embedding element %zu", i);
    }
    if (rows > 0) {
        ids[rows / 2] = VOCABULARY;
        float *out = exact(rows * width * sizeof(float));
        check(embed(ops_contexts[0], &p, out) == CAIRN_STATUS_INVALID_ARGUMENT,
              "an id past the table was accepted");
        ids[rows / 2] = -1;
        check(embed(ops_contexts[0], &p, out) == CAIRN_STATUS_INVALID_ARGUMENT,
              "a negative id was accepted");
        free(out);
    }
    free(table), free(brain), free(ids), free(full), free(half);
}

static void check_gather(size_t count, size_t rows, size_t width) {
    float *x = random_floats(rows * width), *dy = random_floats(count * width);
    uint32_t *indices = exact(count * sizeof(uint32_t));
    for (size_t i = 0; i < count; i++) indices[i] = (uint32_t)random_below(rows);
    operands p = {.count = count, .rows = rows, .width = width, .indices = indices, .x = x};
    float *y = run_everywhere("gather", gather, &p, count * width);
    p.x = dy;
    float *dx = run_everywhere("scatter", scatter, &p, rows * width);
    float *expected = calloc(rows * width + 1, sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < width; j++) {
            check(y[i * width + j] == x[indices[i] * width + j], "gathered row %zu", i);
            expected[indices[i] * width + j] += dy[i * width + j];
        }
    check(first_difference(dx, expected, rows * width) == rows * width, "scattered rows differ");
    if (count > 0) {
        indices[0] = (uint32_t)rows;
        check(gather(ops_contexts[0], &p, y) == CAIRN_STATUS_INVALID_ARGUMENT
                  && scatter(ops_contexts[0], &p, dx) == CAIRN_STATUS_INVALID_ARGUMENT,
              "an index past the rows was accepted");
    }
    free(x), free(dy), free(indices), free(y), free(dx), free(expected);
}

static void check_mean(size_t width) {
    const uint32_t offsets[] = {0, 3, 3, 4, 60};
    float *x = random_floats(60 * width), *dy = random_floats(4 * width);
    operands p = {.count = 4, .width = width, .indices = offsets, .x = x};
    float *y = run_everywhere("mean", mean, &p, 4 * width);
    p.x = dy;
    float *dx = run_everywhere("mean's gradient", mean_gradient, &p, 60 * width);
    for (size_t s = 0; s < 4; s++)
        for (size_t j = 0; j < width; j++) {
            const float rows = (float)(offsets[s + 1] - offsets[s]);
            float sum = 0;
            for (size_t t = offsets[s]; t < offsets[s + 1]; t++) {
                sum += x[t * width + j];
                check(dx[t * width + j] == dy[s * width + j] / rows, "share of row %zu", t);
            }
            check(y[s * width + j] == (rows > 0 ? sum / rows : 0), "mean of sequence %zu", s);
        }
    free(x), free(dy), free(y), free(dx);
}

int main(void) {
    make_all_contexts();
    for (size_t n = 0; n < OPS_LENGTHS; n++) {
        check_embedding(n * 5, ops_lengths[n]);
        check_gather(n * 5, 17, ops_lengths[n]);
        check_mean(ops_lengths[n]);
    }
    check_embedding(3000, 40);
    check_gather(3000, 1000, 40);
    destroy_all_contexts();
    return summary();
}
