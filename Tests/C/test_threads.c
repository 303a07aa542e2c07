// SPDX-License-Identifier: Apache-2.0
/// The pool runs every tile exactly once, for any number of threads, hot or asleep.

#define _GNU_SOURCE 1

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "core/core.h"

enum { MAX_TILES = 300, MAX_THREADS = 5 };

typedef struct job {
    uint32_t *counts;
    float *products;
    size_t threads;
    bool *bad_worker;
} job;

static void count_tile(const void *arguments, size_t tile, size_t worker) {
    const job *j = arguments;
    j->counts[tile]++;
    if (worker >= j->threads) *j->bad_worker = true;
    volatile float small = 0x1p-126f;
    j->products[tile] = small * 0.5f;  // Denormal, so 0 while tiles run.
}

static void check_loops(size_t threads, size_t loops, bool sleepy) {
    cairn_context *context = make_context(cairn_isa_best(), threads);
    uint32_t counts[MAX_TILES] = {0};
    float products[MAX_TILES];
    bool bad_worker = false, once = true, flushed = true;
    const job j = {counts, products, threads, &bad_worker};
    for (size_t loop = 0; loop < loops; loop++) {
        const size_t tiles = random_below(loop % 16 == 0 ? MAX_TILES : 6);
        memset(counts, 0, sizeof counts);
        if (sleepy) usleep((unsigned)random_below(200));
        cairn_parallel(context, tiles, count_tile, &j);
        for (size_t i = 0; i < MAX_TILES; i++) once = once && counts[i] == (i < tiles ? 1 : 0);
        for (size_t i = 0; i < tiles; i++) flushed = flushed && products[i] == 0;
    }
    check(once, "%zu threads: a tile was not run exactly once", threads);
    check(!bad_worker, "%zu threads: a worker's number was too large", threads);
    check(flushed, "%zu threads: a denormal was not flushed", threads);
    volatile float small = 0x1p-126f;
    check(small * 0.5f != 0, "%zu threads: the caller's denormals are still flushed", threads);
    cairn_context_destroy(context);
}

/// Lends and takes back while loops run: a lent worker takes no tile once it has heard of it.
typedef struct lender {
    cairn_context *context;
    _Atomic bool over;
} lender;

static void *lend_and_take_back(void *argument) {
    lender *l = argument;
    for (size_t i = 0; !l->over; i++) {
        cairn_context_lend_worker(l->context);
        if (i % 3 == 0) cairn_context_lend_worker(l->context);
        usleep((unsigned)(i % 7 * 30));
        if (i % 3 == 0) cairn_context_take_back_worker(l->context);
        cairn_context_take_back_worker(l->context);
    }
    return NULL;
}

static void note_worker(const void *arguments, size_t tile, size_t worker) {
    (void)tile;
    _Atomic(size_t) *const *largest = arguments;
    if (worker > **largest) **largest = worker;
    usleep(20);
}

static void check_lending(size_t threads) {
    lender l = {make_context(cairn_isa_best(), threads), false};
    pthread_t thread;
    check(pthread_create(&thread, NULL, lend_and_take_back, &l) == 0, "no thread");
    uint32_t counts[MAX_TILES] = {0};
    float products[MAX_TILES];
    bool bad_worker = false, once = true;
    const job j = {counts, products, threads, &bad_worker};
    for (size_t loop = 0; loop < 2000; loop++) {
        const size_t tiles = random_below(40);
        memset(counts, 0, sizeof counts);
        cairn_parallel(l.context, tiles, count_tile, &j);
        for (size_t i = 0; i < tiles; i++) once = once && counts[i] == 1;
    }
    l.over = true;
    pthread_join(thread, NULL);
    check(once && !bad_worker, "%zu threads: a tile was not run once while workers came and went",
          threads);

    _Atomic(size_t) largest = 0;
    _Atomic(size_t) *const largest_place = &largest;
    for (size_t lent = 0; lent <= threads; lent++) {
        largest = 0;
        for (size_t loop = 0; loop < 20; loop++)
            cairn_parallel(l.context, 50, note_worker, &largest_place);
        const size_t present = lent < threads ? threads - 1 - lent : 0;
        check(largest <= present, "%zu threads, %zu lent: worker %zu took a tile", threads, lent,
              (size_t)largest);
        cairn_context_lend_worker(l.context);
    }
    for (size_t lent = 0; lent <= threads; lent++) cairn_context_take_back_worker(l.context);
    largest = 0;
    for (size_t loop = 0; loop < 20000 && largest < threads - 1; loop++)
        cairn_parallel(l.context, 50, note_worker, &largest_place);
    check(largest == threads - 1, "%zu threads: a worker that was given back takes no tile", threads);

    // Destroyed while a worker is away: it is woken and joined.
    cairn_context_lend_worker(l.context);
    cairn_parallel(l.context, 50, count_tile, &j);
    cairn_context_destroy(l.context);
}

#if defined(__linux__)
/// Where workers may run while a loop does.
typedef struct places {
    cpu_set_t callers;
    _Atomic(size_t) tiles, wrong;
} places;

static void note_place(const void *arguments, size_t tile, size_t worker) {
    (void)tile;
    places *const p = *(places *const *)arguments;
    usleep(200);
    if (worker == 0) return;
    cpu_set_t own, common;
    bool is_right = pthread_getaffinity_np(pthread_self(), sizeof own, &own) == 0;
    CPU_AND(&common, &own, &p->callers);
    is_right = is_right && CPU_EQUAL(&common, &own)
               && CPU_COUNT(&own) == CPU_COUNT(&p->callers) - 1;
    p->tiles++;
    if (!is_right) p->wrong++;
}

/// A worker has every processor of the caller but the one that the caller is on.
static void check_places(void) {
    places p = {.tiles = 0, .wrong = 0};
    places *const place = &p;
    check(pthread_getaffinity_np(pthread_self(), sizeof p.callers, &p.callers) == 0, "no affinity");
    const size_t processors = (size_t)CPU_COUNT(&p.callers);
    if (processors < 2) return;
    cairn_context *context = make_context(cairn_isa_best(), 2);
    for (size_t loop = 0; loop < 50; loop++) {
        usleep(300);  // Long enough for the worker to sleep.
        cairn_parallel(context, 8, note_place, &place);
    }
    check(p.tiles > 0 && p.wrong == 0, "%zu of %zu tiles ran where the caller may be",
          (size_t)p.wrong, (size_t)p.tiles);
    cairn_context_destroy(context);

    // More workers than other processors: they may run anywhere.
    cpu_set_t own;
    context = make_context(cairn_isa_best(), processors + 1);
    cairn_parallel(context, 8, note_place, &place);
    check(pthread_getaffinity_np(pthread_self(), sizeof own, &own) == 0
              && CPU_EQUAL(&own, &p.callers),
          "the caller's own affinity changed");
    p.tiles = p.wrong = 0;
    for (size_t loop = 0; loop < 50; loop++) cairn_parallel(context, 64, note_place, &place);
    check(p.wrong == p.tiles, "workers were kept off a processor that they need");
    cairn_context_destroy(context);
}
#endif

static void check_creation(void) {
    for (size_t i = 0; i < 200; i++) {
        cairn_context *context = make_context(CAIRN_ISA_SCALAR, 1 + i % MAX_THREADS);
        check(cairn_context_threads(context) == 1 + i % MAX_THREADS, "threads were not kept");
        check(cairn_context_isa(context) == CAIRN_ISA_SCALAR, "the instruction set was not kept");
        cairn_context_destroy(context);
    }
    cairn_context *context = NULL;
    check(cairn_context_create(CAIRN_ISA_SCALAR, 0, &context) == CAIRN_STATUS_INVALID_ARGUMENT,
          "0 threads were accepted");
    check(cairn_context_create(CAIRN_ISA_SCALAR, 1025, &context) == CAIRN_STATUS_INVALID_ARGUMENT,
          "1025 threads were accepted");
    size_t supported = 0;
    for (int isa = CAIRN_ISA_SCALAR; isa < ISA_COUNT; isa++) {
        const bool is_supported = cairn_isa_is_supported((cairn_isa)isa);
        supported += is_supported;
        if (is_supported) continue;
        check(cairn_context_create((cairn_isa)isa, 1, &context) == CAIRN_STATUS_UNSUPPORTED_ISA,
              "instruction set %d was accepted", isa);
    }
    check(supported < ISA_COUNT, "no machine has both NEON and AVX2");
    check(context == NULL, "a failed creation wrote a context");
}

static void check_scratch(void) {
    cairn_context *context = make_context(cairn_isa_best(), 2);
    unsigned char *small = cairn_scratch(context, 1000);
    check(small != NULL && (uintptr_t)small % 64 == 0, "scratch memory is not aligned");
    check(cairn_scratch(context, 10) == small, "scratch memory moved without growing");
    unsigned char *large = cairn_scratch(context, 5u << 20);
    check(large != NULL && (uintptr_t)large % 64 == 0, "grown scratch memory is not aligned");
    if (large) memset(large, 1, 5u << 20);
    check(cairn_scratch(context, SIZE_MAX) == NULL, "the impossible was allocated");
    check(cairn_scratch(context, 5u << 20) == large, "a failed growth lost the memory");
    cairn_context_destroy(context);
}

int main(void) {
    check_creation();
    for (size_t threads = 1; threads <= MAX_THREADS; threads++) {
        check_loops(threads, 4000, false);
        check_loops(threads, 300, true);
        check_lending(threads);
    }
#if defined(__linux__)
    check_places();
#endif
    check_scratch();
    return summary();
}
