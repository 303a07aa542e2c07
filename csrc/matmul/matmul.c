// SPDX-License-Identifier: Apache-2.0
/// Matrix products: entry points. They cut k into blocks and C into units, and run the units.

#include "matmul/matmul_plan.h"

#include <string.h>

// A that is packed once stays in a last-level cache; longer products go in pieces of rows. 6 MB
// are as many rows of 4864 pairs as a unit has, so that pieces repeat no packing of B.
// CAIRN_TEST_SHORT_PIECES makes small products go in pieces.
#if defined(CAIRN_TEST_SHORT_PIECES)
enum { MOST_PACKED_BYTES = 1 << 11 };
#else
enum { MOST_PACKED_BYTES = 6 << 20 };
#endif

// Elements of the B of a narrow product: in words of fp32 1 MB, a second-level cache. A larger one
// would come from memory for every few rows.
enum { MOST_NARROW_ELEMENTS = 1 << 18 };

/// The most bytes of a row of A, packed: a line more for each block.
static size_t packed_row_bytes(const cairn_matmul_plan *plan, const cairn_matmul_kernels *kernels,
                               size_t blocks) {
    const size_t count = positions(plan, plan->parts[0].k) + positions(plan, plan->parts[1].k);
    const size_t words = count / (plan->rounds ? kernels->kc_bf16 / kernels->kc : 1);
    return (words + blocks * 2 * 16) * sizeof(float);
}

/// Whether A is packed once for all units, and not by each. It pays as soon as two units
/// would round the same rows; rows of fp32 are read as they lie.
static bool packs_once(const cairn_matmul_plan *plan) {
    const cairn_matrix *a = &plan->parts[0].a;
    if (a->transposed || (plan->column_units < 2 && !plan->narrow)) return false;
    return plan->rounds || a->dtype != CAIRN_DTYPE_F32;
}

/// The floats of the B of a narrow product, packed.
static size_t panel_floats(const cairn_matmul_plan *plan, const cairn_matmul_kernels *kernels,
                           size_t n) {
    const size_t words =
        positions(plan, plan->parts[0].k) / (plan->rounds ? kernels->kc_bf16 / kernels->kc : 1);
    return words * divide_up(n, kernels->nr) * kernels->nr;
}

/// Rows of the product from i on: where their A and C lie.
static cairn_matmul_plan rows_of_plan(const cairn_matmul_plan *whole, size_t i, size_t rows) {
    cairn_matmul_plan plan = *whole;
    plan.m = rows;
    plan.c += i * plan.c_stride;
    for (size_t part = 0; part < 2; part++) {
        cairn_matrix *a = &plan.parts[part].a;
        const size_t size = a->dtype == CAIRN_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
        if (plan.parts[part].k > 0)
            a->data = (const char *)a->data + (a->transposed ? i : i * a->stride) * size;
    }
    return plan;
}

static void add_part(writer *writer, const cairn_matmul_plan *plan, size_t part, size_t kc) {
    const size_t count = positions(plan, plan->parts[part].k);
    if (count == 0) return;
    const size_t length = block_length(plan, count, divide_up(count, kc));
    for (size_t begin = 0; begin < count; begin += length) {
        const size_t left = count - begin;
        add_block(writer, part, begin, left < length ? left : length);
        add_run(writer, (cairn_matmul_run){
                            .count = left < length ? left : length,
                            .start = writer->run_count ? CAIRN_START_KEPT : CAIRN_START_ZERO,
                            .end = CAIRN_END_KEEP});
    }
}

/// Takes a short second product for the tail of the last block of the first: LoRA's rank is a few
/// words, for which the accumulators need not go to memory and back.
static void add_tail(writer *writer, cairn_matmul_plan *plan,
                     const cairn_matmul_kernels *kernels) {
    if (writer->block_count < 2) return;
    const cairn_matmul_block *last = &writer->blocks[writer->block_count - 1];
    if (last->part != 1 || last[-1].part != 0 || plan->parts[0].a.transposed ||
        plan->parts[1].a.transposed || !kernels->holds(plan, last - 1, last))
        return;
    plan->tail = last;
    writer->block_count--;
    writer->run_count--;
}

/// What `cairn_matmul` and `cairn_matmul_adapted` are asked for.
typedef struct request {
    const cairn_matmul_config *config;
    size_t m, n, k, k2;
    const cairn_matrix *a, *b, *a2, *b2;
    const float *bias;
    float *c;
    size_t c_stride;
} request;

/// A product, and with an adapter the narrow one that its second part waits for.
static cairn_status multiply(cairn_context *context, const request *r,
                             const cairn_adapter *adapter) {
    const cairn_matmul_kernels *kernels = context->kernels->matmul;
    const size_t m = r->m, k = r->k, k2 = r->k2;
    cairn_matmul_plan plan = {
        .m = m,
        .n = r->n,
        .parts = {{.a = *r->a, .b = *r->b, .k = k}},
        .rounds = r->config->precision == CAIRN_PRECISION_BF16,
        .scale = r->config->scale,
        .accumulate = r->config->accumulate,
        .bias = r->bias,
        .c = r->c,
        .c_stride = r->c_stride,
    };
    if (k2 != 0) plan.parts[1] = (cairn_matmul_part){.a = *r->a2, .b = *r->b2, .k = k2};
    cairn_matmul_plan narrow = {0};
    if (adapter) {
        narrow = (cairn_matmul_plan){
            .m = m,
            .n = adapter->rank,
            .parts = {{.a = *r->a, .b = adapter->down, .k = k}},
            .rounds = plan.rounds,
            .scale = adapter->scale,
            .c = adapter->projected,
            .c_stride = adapter->rank,
        };
        plan.narrow = &narrow;
    }
    choose_units(&plan, kernels, context->threads, k + k2);
    const size_t kc = block_limit(&plan, kernels);
    const size_t blocks = divide_up(k + 1, kc) + divide_up(k2 + 1, kc) + 1;
    const size_t row_bytes = packs_once(&plan) ? packed_row_bytes(&plan, kernels, blocks) : 0;
    const size_t most = row_bytes > 0 ? MOST_PACKED_BYTES / row_bytes : m;
    const size_t rows = most >= m ? m : divide_up(m, divide_up(m, most > 0 ? most : 1));
    const size_t panel_bytes =
        adapter ? panel_floats(&plan, kernels, adapter->rank) * sizeof(float) : 0;
    writer writer = {0};
    if (!allocate(context, &plan, &writer, blocks, 2 * blocks, 0, rows * row_bytes + panel_bytes))
        return CAIRN_STATUS_OUT_OF_MEMORY;
    add_part(&writer, &plan, 0, kc);
    if (adapter) {
        narrow.panels = plan.packed_a;
        plan.packed_a = row_bytes > 0 ? plan.packed_a + panel_bytes / sizeof(float) : NULL;
        narrow.blocks = writer.blocks;
        narrow.block_count = writer.block_count;
        cairn_matmul_run *runs = writer.runs + blocks;
        memcpy(runs, writer.runs, writer.run_count * sizeof *runs);
        runs[writer.run_count - 1].end = CAIRN_END_STORE;
        narrow.runs = runs;
    }
    add_part(&writer, &plan, 1, kc);
    add_tail(&writer, &plan, kernels);
    if (writer.run_count == 0) {
        add_block(&writer, 0, 0, 0);
        add_run(&writer, (cairn_matmul_run){.start = CAIRN_START_ZERO});
    }
    writer.runs[writer.run_count - 1].end = CAIRN_END_STORE;
    for (size_t i = 0; i < m; i += rows) {
        const size_t count = m - i < rows ? m - i : rows;
        cairn_matmul_plan piece = rows_of_plan(&plan, i, count), piece_narrow;
        if (adapter) {
            piece_narrow = rows_of_plan(&narrow, i, count);
            piece.narrow = &piece_narrow;
        }
        if (rows < m) choose_units(&piece, kernels, context->threads, k + k2);
        run_plan(context, &piece, &writer);
    }
    return CAIRN_STATUS_OK;
}

cairn_status cairn_matmul(cairn_context *context, const cairn_matmul_config *config, size_t m,
                          size_t n, size_t k, const cairn_matrix *a, const cairn_matrix *b,
                          size_t k2, const cairn_matrix *a2, const cairn_matrix *b2,
                          const float *bias, float *c, size_t c_stride) {
    if (m == 0 || n == 0) return CAIRN_STATUS_OK;
    if (k2 != 0 && (!a2 || !b2)) return CAIRN_STATUS_INVALID_ARGUMENT;
    // Codes have no rows of A that a piece could begin at.
    if (a->dtype > CAIRN_DTYPE_F16 || (k2 != 0 && a2->dtype > CAIRN_DTYPE_F16))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const request request = {config, m, n, k, k2, a, b, a2, b2, bias, c, c_stride};
    return multiply(context, &request, NULL);
}

cairn_status cairn_matmul_adapted(cairn_context *context, const cairn_matmul_config *config,
                                  size_t m, size_t n, size_t k, const cairn_matrix *a,
                                  const cairn_matrix *b, const cairn_adapter *adapter,
                                  const float *bias, float *c, size_t c_stride) {
    const size_t rank = adapter->rank;
    const cairn_matrix projected = {adapter->projected, CAIRN_DTYPE_F32, rank, false};
    const bool is_narrow = a->dtype == CAIRN_DTYPE_F32 && !a->transposed && n > 0 && k > 0 && rank > 0 &&
                           rank * k <= MOST_NARROW_ELEMENTS;
    if (!is_narrow) {
        const cairn_matmul_config down = {config->precision, adapter->scale, false};
        const cairn_status status =
            cairn_matmul(context, &down, m, rank, k, a, &adapter->down, 0, NULL, NULL, NULL,
                         adapter->projected, rank);
        if (status != CAIRN_STATUS_OK) return status;
        return cairn_matmul(context, config, m, n, k, a, b, rank, &projected, &adapter->up, bias,
                            c, c_stride);
    }
    if (m == 0) return CAIRN_STATUS_OK;
    const request request = {config, m,          n,            k,    rank, a,
                             b,      &projected, &adapter->up, bias, c,    c_stride};
    return multiply(context, &request, adapter);
}
