// SPDX-License-Identifier: Apache-2.0
/// What the tests of the operations share: every context, equality of bits, partitions.

#ifndef CAIRN_OPS_CHECK_H
#define CAIRN_OPS_CHECK_H

#include <math.h>

#include "check.h"

enum { OPS_THREADS = 5 };

static cairn_context *ops_contexts[ISA_COUNT * OPS_THREADS];
static size_t ops_context_count;

/// Every instruction set with 1 ... 5 threads; the first is the scalar one with one thread.
__attribute__((unused)) static void make_all_contexts(void) {
    cairn_isa isas[ISA_COUNT];
    const size_t count = supported_isas(isas);
    for (size_t i = 0; i < count; i++)
        for (size_t t = 1; t <= OPS_THREADS; t++)
            ops_contexts[ops_context_count++] = make_context(isas[i], t);
}

__attribute__((unused)) static void destroy_all_contexts(void) {
    for (size_t i = 0; i < ops_context_count; i++) cairn_context_destroy(ops_contexts[i]);
}

/// A call of an operation: reads its operands from `in`, writes `count` numbers.
typedef cairn_status (*operation)(cairn_context *context, const void *in, float *out);

/// Runs an operation in every context and compares bits; returns the numbers of the scalar one.
///
/// The output starts as NaN, so that what is not written is seen; the caller frees it.
__attribute__((unused)) static float *run_everywhere(const char *name, operation run,
                                                     const void *in, size_t count) {
    float *expected = NULL;
    for (size_t i = 0; i < ops_context_count; i++) {
        float *out = exact(count * sizeof(float));
        memset(out, 0xff, count * sizeof(float));
        const cairn_status status = run(ops_contexts[i], in, out);
        check(status == CAIRN_STATUS_OK, "%s: status %d", name, (int)status);
        if (!expected) {
            expected = out;
            continue;
        }
        const size_t at = first_difference(out, expected, count);
        check(at == count, "%s: isa %d, %zu threads: element %zu of %zu is %a, not %a", name,
              (int)cairn_context_isa(ops_contexts[i]), cairn_context_threads(ops_contexts[i]), at,
              count, at < count ? (double)out[at] : 0, at < count ? (double)expected[at] : 0);
        free(out);
    }
    return expected;
}

/// |found - expected| <= bound, false for NaN.
__attribute__((unused)) static bool near_enough(double found, double expected, double bound) {
    return fabs(found - expected) <= bound;
}

static const size_t ops_lengths[] = {0, 1, 15, 16, 17, 31, 32, 33, 100, 1023};
enum { OPS_LENGTHS = sizeof ops_lengths / sizeof *ops_lengths };

/// Sequences of the given lengths in groups of the given sizes, cut into micro-batches.
///
/// `cuts` are numbers of sequences at which a micro-batch ends. Calls `visit` with each partition
/// and the first row of its micro-batch.
typedef void (*partition_visitor)(const cairn_partition *partition, size_t first_row, void *data);

__attribute__((unused)) static void visit_micro_batches(
    size_t sequences, const uint32_t *lengths, size_t groups, const uint32_t *group_ends,
    size_t batches, const uint32_t *cuts, partition_visitor visit, void *data) {
    uint32_t offsets[64], bounds[64];
    size_t first_row = 0;
    for (size_t b = 0; b < batches; b++) {
        const uint32_t begin = b == 0 ? 0 : cuts[b - 1];
        const uint32_t end = b + 1 == batches ? (uint32_t)sequences : cuts[b];
        cairn_partition p = {.sequence_count = end - begin, .offsets = offsets, .groups = bounds};
        offsets[0] = bounds[0] = 0;
        for (uint32_t s = begin; s < end; s++)
            offsets[s - begin + 1] = offsets[s - begin] + lengths[s];
        for (size_t g = 0; g < groups; g++) {
            const uint32_t from = g == 0 ? 0 : group_ends[g - 1], to = group_ends[g];
            const uint32_t low = from > begin ? from : begin, high = to < end ? to : end;
            if (low >= high) continue;
            if (p.group_count == 0) p.resumes = from < begin;
            p.suspends = to > end;
            bounds[++p.group_count] = high - begin;
        }
        visit(&p, first_row, data);
        first_row += offsets[end - begin];
    }
}

#endif
