// SPDX-License-Identifier: Apache-2.0
/// Rows that are picked, placed, averaged, and summed into by id.

#include "both.h"

static void test_embedding(cairn_dtype dtype) {
    enum { TOKENS = 23, WIDTH = 37, WORDS = 9 };
    int32_t ids[TOKENS];
    for (int32_t i = 0; i < TOKENS; i++) ids[i] = i * i % WORDS;
    triple id = triple_of(ids, sizeof ids), table = triple_weights(WORDS * WIDTH, dtype, 111);
    triple y = triple_zeros(TOKENS * WIDTH);
    EACH(embedding_forward, TOKENS, WIDTH, WORDS, I(id), P(table), dtype, F(y));
    expect_near(y, TOKENS * WIDTH, 0, 0, "embedding %d", dtype);
    triple_free(&id);
    triple_free(&table);
    triple_free(&y);
}

static void test_embedding_gradient(const part *p, size_t width, bool keeps_open) {
    enum { WORDS = 50 };
    int32_t ids[PART_ROWS];
    for (int32_t i = 0; i < PART_ROWS; i++) ids[i] = i % 3 == 0 ? 4 : i * 5 % 17;
    triple id = triple_of(ids, sizeof ids), dy = triple_floats(PART_ROWS * width, 1, 121);
    triple sum = triple_floats(WORDS * width, 1, 122);
    triple open = keeps_open ? triple_floats(WORDS * width, 1, 123) : triple_zeros(WORDS * width);
    EACH(embedding_gradient, &p->partition, width, WORDS, I(id), F(dy),
         ((cairn_gradient){F(sum), F(open)}));
    expect_near(sum, WORDS * width, 5e-7, 1, "embedding gradient, %s: sum", p->name);
    expect_near(open, WORDS * width, 5e-7, 1, "embedding gradient, %s: open", p->name);
    triple_free(&id);
    triple_free(&dy);
    triple_free(&sum);
    triple_free(&open);
}

static void test_gather(size_t count, size_t rows, size_t width) {
    uint32_t *host = malloc((count + 1) * sizeof *host);
    if (!host) exit(1);
    for (uint32_t i = 0; i < count; i++) host[i] = (uint32_t)(i * 7 % rows);
    triple at = triple_of(host, count * sizeof *host), x = triple_floats(rows * width, 1, 131);
    triple y = triple_zeros(count * width), dx = triple_floats(rows * width, 1, 132);
    EACH(gather_rows, count, rows, width, U(at), F(x), F(y));
    expect_near(y, count * width, 0, 0, "gather %zu of %zu x %zu", count, rows, width);
    EACH(scatter_rows, count, rows, width, U(at), F(y), F(dx));
    expect_near(dx, rows * width, 5e-7, 0, "scatter %zu to %zu x %zu", count, rows, width);
    triple_free(&at);
    triple_free(&x);
    triple_free(&y);
    triple_free(&dx);
    free(host);
}

static void test_mean(size_t width) {
    static const uint32_t offsets[] = {0, 3, 3, 4, 20};
    enum { SEQUENCES = 4, ROWS = 20 };
    triple x = triple_floats(ROWS * width, 1, 141), y = triple_zeros(SEQUENCES * width);
    triple dx = triple_zeros(ROWS * width);
    EACH(mean_rows_forward, SEQUENCES, width, offsets, F(x), F(y));
    expect_near(y, SEQUENCES * width, 5e-7, 1e-3, "mean of rows");
    EACH(mean_rows_backward, SEQUENCES, width, offsets, F(y), F(dx));
    expect_near(dx, ROWS * width, 5e-7, 0, "mean of rows backward");
    triple_free(&x);
    triple_free(&y);
    triple_free(&dx);
}

void test_rows(void) {
    for (cairn_dtype d = CAIRN_DTYPE_F32; d <= CAIRN_DTYPE_F16; d++) test_embedding(d);
    for (size_t i = 0; i < part_count; i++) {
        test_embedding_gradient(&parts[i], 40, parts[i].partition.resumes);
        test_embedding_gradient(&parts[i], 300, parts[i].partition.resumes);
    }
    test_gather(1, 1, 1);
    test_gather(5, 40, 300);
    test_gather(600, 40, 9);
    test_mean(1);
    test_mean(70);
}
