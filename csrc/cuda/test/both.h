// SPDX-License-Identifier: Apache-2.0
/// Every operation on three engines: the CPU's, CUDA's, and CUDA's once more. The second is held
/// against the first within a bound, and against the third to the bit.

#ifndef CAIRN_CUDA_TEST_BOTH_H
#define CAIRN_CUDA_TEST_BOTH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cairn.h"
#include "cairn_cuda.h"

enum { ENGINES = 3 };

typedef struct engine {
    const cairn_backend *table;
    cairn_context *context;
} engine;

extern engine engines[ENGINES];
extern size_t passed, failed;

/// The same numbers in the memory of every engine.
typedef struct triple {
    size_t bytes;
    void *at[ENGINES];
} triple;

triple triple_of(const void *host, size_t bytes);
/// Random numbers in -amplitude ... amplitude, with `seed` of their own.
triple triple_floats(size_t count, float amplitude, uint32_t seed);
triple triple_zeros(size_t count);
/// Random weights stored as `dtype`.
triple triple_weights(size_t count, cairn_dtype dtype, uint32_t seed);
void triple_free(triple *values);

/// Counts a check, and prints it when it fails.
void expect(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// |cuda - cpu| <= bound * (|cpu| + scale) for each of `count` floats, and both CUDA runs alike.
void expect_near(triple values, size_t count, double bound, double scale, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/// Calls an entry on every engine; inside of the call E is the engine, and F(x), P(x) its memory.
#define EACH(entry, ...) \
    for (int e = 0; e < ENGINES; e++) { \
        const cairn_backend *each_table = engines[e].table; \
        cairn_context *E = engines[e].context; \
        const cairn_status status = each_table->entry(E, __VA_ARGS__); \
        expect(status == CAIRN_STATUS_OK, #entry " on engine %d returned %d (%s)", e, status, \
               each_table->failure(E)); \
    }
#define F(x) ((float *)(x).at[e])
#define P(x) ((void *)(x).at[e])
#define U(x) ((uint32_t *)(x).at[e])
#define I(x) ((int32_t *)(x).at[e])

void test_elementwise(void);
void test_columns(void);
void test_normalization(void);
void test_rows(void);
void test_loss(void);
void test_optimizer(void);
void test_attention(void);
void test_matmul(void);
void test_gradient(void);
void test_failures(void);

/// Partitions that cut, resume and suspend groups, with empty sequences and empty groups.
typedef struct part {
    const char *name;
    cairn_partition partition;
} part;
extern const part parts[];
extern const size_t part_count;
enum { PART_ROWS = 37 };

#endif
