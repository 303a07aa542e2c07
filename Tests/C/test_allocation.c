// SPDX-License-Identifier: Apache-2.0
/// The n-th allocation fails, for every n: the call says so, writes nothing, and the next one works.

#include <errno.h>

#include "check.h"
#include "core/core.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)

/// The C library's own, under names that a program cannot take from it.
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/// How many more allocations succeed; negative for all.
static long allowed = -1;
static size_t asked;

static bool may_allocate(void) {
    asked++;
    if (allowed < 0) return true;
    return allowed-- > 0 || (allowed = 0, false);
}

void *calloc(size_t count, size_t size) {
    return may_allocate() ? __libc_calloc(count, size) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return may_allocate() ? __libc_memalign(alignment, size) : NULL;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *made = may_allocate() ? __libc_memalign(alignment, size) : NULL;
    if (!made) return ENOMEM;
    *memory = made;
    return 0;
}

enum { M = 70, N = 90, K = 300, COUNT = 10000 };

/// A sum, a product and a sum again: scratch of three sizes, growing.
typedef struct work {
    float *a, *b, *c, *x;
    double sum;
} work;

static cairn_status run(cairn_context *context, work *w) {
    const cairn_matmul_config config = {.precision = CAIRN_PRECISION_FP32, .scale = 1};
    const cairn_matrix a = {w->a, CAIRN_DTYPE_F32, K, false};
    const cairn_matrix b = {w->b, CAIRN_DTYPE_F32, K, true};
    cairn_status status = cairn_sum_of_squares(context, COUNT, w->x, &w->sum);
    if (status != CAIRN_STATUS_OK) return status;
    return cairn_matmul(context, &config, M, N, K, &a, &b, 0, NULL, NULL, NULL, w->c, N);
}

/// Fails the n-th allocation of a context's whole life; false once none is left to fail.
static bool fail_at(long n, const work *expected, size_t threads) {
    work w = {expected->a, expected->b, exact(M * N * sizeof(float)), expected->x, 0};
    for (size_t i = 0; i < M * N; i++) w.c[i] = 42;
    allowed = n;
    cairn_context *context = NULL;
    cairn_status status = cairn_context_create(cairn_isa_best(), threads, &context);
    if (status == CAIRN_STATUS_OK) status = run(context, &w);
    const bool ended = status == CAIRN_STATUS_OK;
    allowed = -1;
    if (!ended) {
        // A thread's own memory is the system's to refuse, and then the thread is.
        check(status == CAIRN_STATUS_OUT_OF_MEMORY || status == CAIRN_STATUS_THREAD_FAILED,
              "allocation %ld of %zu threads: status %d", n, threads, (int)status);
        bool untouched = true;
        for (size_t i = 0; i < M * N; i++) untouched = untouched && w.c[i] == 42;
        check(untouched, "allocation %ld: the result was touched", n);
        if (!context) context = make_context(cairn_isa_best(), threads);
        check(run(context, &w) == CAIRN_STATUS_OK, "allocation %ld: the next run failed", n);
    }
    check(first_difference(w.c, expected->c, M * N) == M * N && w.sum == expected->sum,
          "allocation %ld: another result", n);
    cairn_context_destroy(context);
    free(w.c);
    return !ended;
}

int main(void) {
    work expected = {random_floats(M * K), random_floats(N * K), exact(M * N * sizeof(float)),
                     random_floats(COUNT), 0};
    cairn_context *context = make_context(CAIRN_ISA_SCALAR, 1);
    check(run(context, &expected) == CAIRN_STATUS_OK, "the reference");
    cairn_context_destroy(context);
    for (size_t threads = 1; threads <= 3; threads++) {
        long n = 0;
        while (fail_at(n, &expected, threads)) n++;
        check(n >= 3, "only %ld allocations with %zu threads", n, threads);
        printf("%zu threads: %ld allocations failed in turn\n", threads, n);
    }
    check(asked > 0, "no allocation was seen");
    return summary();
}

#else

int main(void) {
    printf("another C library, or a sanitizer's: its allocations cannot be failed from here\n");
    check(true, "nothing");
    return summary();
}

#endif
