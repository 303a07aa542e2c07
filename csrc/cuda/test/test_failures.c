// SPDX-License-Identifier: Apache-2.0
/// What goes wrong is said: budgets, data out of range, operands that no kernel takes.

#include "both.h"

static void test_budget(void) {
    const cairn_cuda_options options = {.memory_budget = 1 << 20};
    cairn_context *context;
    const cairn_backend *table = engines[1].table;
    expect(cairn_cuda_open(0, &options, &context) == CAIRN_CUDA_STATUS_OK, "a small budget");
    void *half = table->allocate(context, 600000), *rest = table->allocate(context, 600000);
    expect(half && !rest, "the second half does not fit");
    expect(strcmp(table->failure(context),
                  "cuda:0 needs 600000 bytes and has 448576 left of its budget of 1048576") == 0,
           "the sentence is '%s'", table->failure(context));
    expect(cairn_cuda_memory_of(context).used == 600000, "what failed is not counted");
    expect(table->finish(context) == CAIRN_STATUS_OK, "what was told is not told again");
    table->release(context, half);
    expect(cairn_cuda_memory_of(context).used == 0, "what is released is not counted");
    expect(cairn_cuda_memory_of(context).peak == 600000, "but by the peak");
    // The sum of squares of what fills the budget has no room for its partial sums.
    float *full = table->allocate(context, (1 << 20) - 64);
    double sum;
    if (full) {
        table->zero(context, full, 4096 * sizeof *full);
        expect(table->sum_of_squares(context, (1 << 18) - 16, full, &sum)
                   == CAIRN_STATUS_OUT_OF_MEMORY,
               "scratch memory is in the budget");
        expect(table->finish(context) == CAIRN_STATUS_OK, "nor is this told again");
    }
    expect(full, "a budget can be filled");
    table->release(context, full);
    cairn_cuda_close(context);
}

static void test_devices(void) {
    const cairn_cuda_options options = {0}, most = {.memory_budget = SIZE_MAX};
    cairn_context *context;
    expect(cairn_cuda_open(0, &most, &context) == CAIRN_CUDA_STATUS_OUT_OF_MEMORY && !context,
           "a budget that no device has");
    expect(strstr(cairn_cuda_error_text(), "fewer than the 18446744073709551615 that may be used"),
           "the sentence is '%s'", cairn_cuda_error_text());
    expect(cairn_cuda_open(99, &options, &context) == CAIRN_CUDA_STATUS_INVALID_DEVICE,
           "there is no cuda:99");
    expect(strstr(cairn_cuda_error_text(), "there is no cuda:99; this machine has"),
           "the sentence is '%s'", cairn_cuda_error_text());
}

static void expect_refusal(const char *sentence) {
    const cairn_backend *table = engines[1].table;
    expect(table->finish(engines[1].context) == CAIRN_STATUS_INVALID_ARGUMENT, "finish says: %s",
           sentence);
    expect(strstr(table->failure(engines[1].context), sentence), "the sentence is '%s'",
           table->failure(engines[1].context));
    expect(table->finish(engines[1].context) == CAIRN_STATUS_OK, "the fault is forgotten");
}

static void test_data(void) {
    const int32_t ids[] = {0, -1, 2, 9};
    const uint32_t rows[] = {1, 0, 7, 2};
    const cairn_backend *table = engines[1].table;
    cairn_context *context = engines[1].context;
    triple id = triple_of(ids, sizeof ids), row = triple_of(rows, sizeof rows);
    triple x = triple_floats(3 * 5, 1, 241), y = triple_floats(4 * 5, 1, 242);
    const int e = 1;
    float host[20];
    expect(table->embedding_forward(context, 4, 5, 3, I(id), F(x), CAIRN_DTYPE_F32, F(y))
               == CAIRN_STATUS_OK,
           "an id is looked at on the device");
    table->copy_out(context, host, F(y), sizeof host);
    expect(host[0] == host[0] && host[5] != host[5] && host[19] != host[19],
           "rows of bad ids are NaN");
    expect_refusal("an id of an embedding is outside of its table");

    expect(table->gather_rows(context, 4, 3, 5, U(row), F(x), F(y)) == CAIRN_STATUS_OK, "gather");
    expect_refusal("an index of a row is outside of its matrix");
    expect(table->scatter_rows(context, 4, 3, 5, U(row), F(y), F(x)) == CAIRN_STATUS_OK, "scatter");
    expect_refusal("an index of a row is outside of its matrix");

    const cairn_cross_entropy_config config = {NULL, 0, -100, 1};
    triple losses = triple_zeros(4);
    expect(table->cross_entropy(context, &config, 4, 5, F(y), I(id), F(losses), NULL)
               == CAIRN_STATUS_OK,
           "a target is looked at on the device");
    expect_refusal("a target of the cross-entropy is neither a class nor ignored");

    const uint32_t offsets[] = {0, 4}, groups[] = {0, 1}, bad[] = {0, 2};
    cairn_partition partition = {1, offsets, 1, groups, false, false};
    expect(table->embedding_gradient(context, &partition, 5, 3, I(id), F(y),
                                     ((cairn_gradient){F(x), F(x)}))
               == CAIRN_STATUS_OK,
           "embedding gradient");
    expect_refusal("an id of an embedding is outside of its table");
    partition.groups = bad;
    expect(table->bias_gradient(context, &partition, 5, F(y), ((cairn_gradient){F(x), F(x)}))
               == CAIRN_STATUS_INVALID_ARGUMENT,
           "groups that name no sequence");
    triple_free(&id);
    triple_free(&row);
    triple_free(&x);
    triple_free(&y);
    triple_free(&losses);
}

/// Weights in 8 and 4 bits are for the CPU, and whoever asks is told so at once.
static void test_quantized(void) {
    const cairn_backend *table = engines[1].table;
    cairn_context *context = engines[1].context;
    triple x = triple_floats(16, 1, 243), y = triple_zeros(16);
    const int e = 1;
    const cairn_int8 w = {.columns = 4, .stride = 64};
    const cairn_matmul_config config = {CAIRN_PRECISION_FP32, 1, false};
    const cairn_matrix a = {F(x), CAIRN_DTYPE_F32, 4, false}, b = {&w, CAIRN_DTYPE_I8, 4, true};
    const cairn_status answers[] = {
        table->quantize_int8(context, 4, 4, F(x), CAIRN_DTYPE_F32, (int8_t *)F(y), F(y),
                             (int32_t *)F(y)),
        table->quantize_nf4(context, 16, F(x), CAIRN_DTYPE_F32, (uint8_t *)F(y), (int8_t *)F(y),
                            F(y)),
        table->matmul_int8(context, 4, 4, F(x), &w, NULL, F(y)),
        table->matmul(context, &config, 4, 4, 4, &a, &b, 0, NULL, NULL, NULL, F(y), 4),
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        expect(answers[i] == CAIRN_STATUS_DEVICE_FAILED, "answer %zu is %d", i, (int)answers[i]);
    expect(strstr(table->failure(context), "computes no weights in 8 or 4 bits"),
           "the sentence is '%s'", table->failure(context));
    expect(table->finish(context) == CAIRN_STATUS_OK, "what was told is not told again");
    triple_free(&x);
    triple_free(&y);
}

/// Copies larger than the pinned memory arrive whole, in both directions and in order.
static void test_copies(void) {
    const size_t count = 3 << 20;
    const cairn_backend *table = engines[1].table;
    cairn_context *context = engines[1].context;
    uint32_t *host = malloc(count * sizeof *host), *back = malloc(count * sizeof *back);
    uint32_t *device = table->allocate(context, count * sizeof *device);
    if (!host || !back || !device) exit(1);
    for (uint32_t i = 0; i < count; i++) host[i] = i * 2654435761u;
    table->copy_in(context, device, host, count * sizeof *host);
    memset(host, 0, 4096);  // What was passed may be changed at once.
    table->copy_out(context, back, device, count * sizeof *back);
    size_t wrong = 0;
    for (uint32_t i = 0; i < count; i++) wrong += back[i] != i * 2654435761u;
    expect(wrong == 0, "%zu of %zu numbers did not come back", wrong, count);
    table->zero(context, device, 4096);
    table->copy_out(context, back, device, 8192);
    expect(back[0] == 0 && back[1023] == 0 && back[1024] == 1024 * 2654435761u, "zero");
    table->release(context, device);
    free(host);
    free(back);
}

void test_failures(void) {
    test_budget();
    test_devices();
    test_data();
    test_quantized();
    test_copies();
}
