// SPDX-License-Identifier: Apache-2.0
/// Parallel loops: workers that spin for a while after a loop, then sleep until the next.
///
/// A loop is open while its tiles are being handed out. A worker enters it, takes tiles from atomic
/// counters, first its own and then the others', and leaves; the caller does the same, closes the
/// loop when no tile is left, and waits until nobody is inside. A worker that wakes too late finds
/// the loop closed, so a short loop never waits for a sleeper.
///
/// A worker that was lent takes no tile until it is given back: it sleeps apart from the others, and
/// its processor is free for whoever asked. Where every processor has a worker, another thread
/// beside them would stop one in the middle of a tile, and all would wait for it.
///
/// Workers keep off the caller's processor. Linux wakes a sleeper where its waker runs when the
/// machine is busy; until it has moved one of the two, some milliseconds later, both share that
/// processor and another one idles.

#define _GNU_SOURCE 1  // Strict C11 hides clock_gettime, posix_memalign and affinities otherwise.

#include "core/threads.h"

#include "core/core.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    CACHE_LINE = 128,      // Two of 64 bytes: neighbours are fetched in pairs.
    SPIN_NANOSECONDS = 60000,  // Longer than the serial code between two loops of a step.
    POLLS_PER_CLOCK = 64,  // Reading the clock costs about as much as two polls.
    POLLS_PER_YIELD = 2000,
};

struct cairn_pool {
    // Twice the number of the loop, plus 1 while it is open.
    _Alignas(CACHE_LINE) _Atomic(uint64_t) state;
    cairn_task task;
    const void *arguments;
    _Atomic bool stopping;
    _Atomic(size_t) present;  // Workers of a number up to this one are not lent.
    _Alignas(CACHE_LINE) _Atomic(size_t) inside;  // Workers between entering and leaving.
    _Alignas(CACHE_LINE) _Atomic(size_t) parked;  // Workers asleep or about to be.
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    pthread_cond_t returned;
    size_t workers;
    size_t lent;
    int avoided;  // The processor that no worker runs on; -1 before the first loop.
    struct worker {
        struct cairn_pool *pool;
        size_t number;
        pthread_t thread;
    } *worker;
    // The tiles that each worker takes before it helps others, the caller first: the same part of
    // every loop, so that the rows that one operation leaves in a core's caches are those that the
    // same core reads in the next.
    struct share {
        _Alignas(CACHE_LINE) _Atomic(size_t) next;
        size_t end;
    } *shares;
};

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/// Round to nearest, exceptions masked, denormals flushed on the way in and out; returns what was.
static inline uint64_t float_state_begin(void) {
#if defined(__x86_64__)
    const uint32_t before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1f80 | 0x8000 | 0x0040);  // Default, FTZ, DAZ.
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)1 << 24));  // FZ.
    return before;
#else
    return 0;
#endif
}

static inline void float_state_end(uint64_t before) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline bool is_news(uint64_t state, uint64_t seen) { return (state & 1) && state != seen; }

static inline bool is_lent(struct cairn_pool *pool, size_t worker) {
    return worker > atomic_load_explicit(&pool->present, memory_order_relaxed);
}

/// A worker's own tiles first, then what is left of the others'.
static void take_tiles(struct cairn_pool *pool, size_t worker) {
    const size_t count = pool->workers + 1;
    for (size_t i = 0; i < count; i++) {
        struct share *share = &pool->shares[(worker + i) % count];
        // Looking first leaves the line of a share that is done with all who look.
        while (atomic_load_explicit(&share->next, memory_order_relaxed) < share->end &&
               !is_lent(pool, worker)) {
            const size_t tile = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
            if (tile >= share->end) break;
            pool->task(pool->arguments, tile, worker);
        }
    }
}

/// Sleeps until the worker is given back, or the pool stops.
static void stay_away(struct cairn_pool *pool, size_t worker) {
    pthread_mutex_lock(&pool->mutex);
    while (is_lent(pool, worker) && !atomic_load(&pool->stopping))
        pthread_cond_wait(&pool->returned, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

/// Sleeps until a loop opens that is not `seen`, or the pool stops.
static void park(struct cairn_pool *pool, uint64_t seen) {
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->parked, 1);
    while (!is_news(atomic_load(&pool->state), seen) && !atomic_load(&pool->stopping))
        pthread_cond_wait(&pool->opened, &pool->mutex);
    atomic_fetch_sub(&pool->parked, 1);
    pthread_mutex_unlock(&pool->mutex);
}

/// Waits for a loop that is not `seen`: polls, then sleeps. False when the pool stops.
static bool wait_for_loop(struct cairn_pool *pool, uint64_t seen, size_t worker) {
    if (is_lent(pool, worker)) stay_away(pool, worker);
    const uint64_t deadline = nanoseconds() + SPIN_NANOSECONDS;
    for (;;) {
        for (size_t i = 0; i < POLLS_PER_CLOCK; i++) {
            const uint64_t state = atomic_load_explicit(&pool->state, memory_order_relaxed);
            if (is_news(state, seen)) return true;
            relax();
        }
        if (atomic_load_explicit(&pool->stopping, memory_order_relaxed)) return false;
        if (nanoseconds() >= deadline) {
            park(pool, seen);
            return !atomic_load(&pool->stopping);
        }
    }
}

static void *work(void *argument) {
    const struct worker *self = argument;
    struct cairn_pool *pool = self->pool;
    (void)float_state_begin();
    uint64_t seen = 0;
    while (wait_for_loop(pool, seen, self->number)) {
        // Entering before reading the state, as the caller closes before reading `inside`: either
        // this worker sees the loop closed, or the caller sees it inside.
        atomic_fetch_add(&pool->inside, 1);
        const uint64_t state = atomic_load(&pool->state);
        if (is_news(state, seen)) {
            take_tiles(pool, self->number);
            seen = state;
        }
        atomic_fetch_sub_explicit(&pool->inside, 1, memory_order_release);
    }
    return NULL;
}

/// Waits until no worker is inside: their tiles are done, and the loop may be overwritten.
static void wait_until_empty(struct cairn_pool *pool) {
    for (size_t polls = 1; atomic_load(&pool->inside) != 0; polls++) {
        if (polls % POLLS_PER_YIELD == 0) sched_yield();
        relax();
    }
}

/// Lets no worker run on the processor of the caller, where it has as many others as there are
/// workers.
static void keep_off_caller(struct cairn_pool *pool) {
#if defined(__linux__)
    const int here = sched_getcpu();
    if (here < 0 || here == pool->avoided) return;
    pool->avoided = here;
    cpu_set_t others;
    if (pthread_getaffinity_np(pthread_self(), sizeof others, &others) != 0) return;
    CPU_CLR((size_t)here, &others);
    if ((size_t)CPU_COUNT(&others) < pool->workers) return;
    for (size_t i = 0; i < pool->workers; i++)
        (void)pthread_setaffinity_np(pool->worker[i].thread, sizeof others, &others);
#else
    (void)pool;
#endif
}

void cairn_parallel(cairn_context *context, size_t tiles, cairn_task task, const void *arguments) {
    if (tiles == 0) return;
    struct cairn_pool *pool = context->pool;
    const uint64_t before = float_state_begin();
    if (tiles == 1 || pool->workers == 0) {
        for (size_t tile = 0; tile < tiles; tile++) task(arguments, tile, 0);
        float_state_end(before);
        return;
    }
    keep_off_caller(pool);
    pool->task = task;
    pool->arguments = arguments;
    const size_t count = pool->workers + 1;
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&pool->shares[i].next, cairn_share(tiles, i, count),
                              memory_order_relaxed);
        pool->shares[i].end = cairn_share(tiles, i + 1, count);
    }
    atomic_fetch_add(&pool->state, 1);
    if (atomic_load(&pool->parked) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->opened);
        pthread_mutex_unlock(&pool->mutex);
    }
    take_tiles(pool, 0);
    atomic_fetch_add(&pool->state, 1);
    wait_until_empty(pool);
    float_state_end(before);
}

static void stop(struct cairn_pool *pool, size_t started) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stopping, true);
    pthread_cond_broadcast(&pool->opened);
    pthread_cond_broadcast(&pool->returned);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < started; i++) pthread_join(pool->worker[i].thread, NULL);
}

static void release(struct cairn_pool *pool) {
    pthread_cond_destroy(&pool->opened);
    pthread_cond_destroy(&pool->returned);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->shares);
    free(pool->worker);
    free(pool);
}

cairn_status cairn_pool_create(size_t workers, struct cairn_pool **pool) {
    void *memory = NULL;
    if (posix_memalign(&memory, CACHE_LINE, sizeof(struct cairn_pool)) != 0)
        return CAIRN_STATUS_OUT_OF_MEMORY;
    struct cairn_pool *made = memory;
    *made = (struct cairn_pool){.workers = workers, .present = workers, .avoided = -1};
    made->worker = calloc(workers + 1, sizeof *made->worker);
    memory = NULL;
    if (!made->worker ||
        posix_memalign(&memory, CACHE_LINE, (workers + 1) * sizeof *made->shares) != 0) {
        free(made->worker);
        free(made);
        return CAIRN_STATUS_OUT_OF_MEMORY;
    }
    made->shares = memory;
    if (pthread_mutex_init(&made->mutex, NULL) != 0 || pthread_cond_init(&made->opened, NULL) != 0
        || pthread_cond_init(&made->returned, NULL) != 0) {
        free(made->shares);
        free(made->worker);
        free(made);
        return CAIRN_STATUS_THREAD_FAILED;
    }
    for (size_t i = 0; i < workers; i++) {
        struct worker *worker = &made->worker[i];
        worker->pool = made;
        worker->number = i + 1;
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            stop(made, i);
            release(made);
            return CAIRN_STATUS_THREAD_FAILED;
        }
    }
    *pool = made;
    return CAIRN_STATUS_OK;
}

void cairn_pool_destroy(struct cairn_pool *pool) {
    stop(pool, pool->workers);
    release(pool);
}

static void set_lent(struct cairn_pool *pool, size_t lent) {
    pool->lent = lent;
    atomic_store(&pool->present, lent < pool->workers ? pool->workers - lent : 0);
}

void cairn_pool_lend(struct cairn_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    set_lent(pool, pool->lent + 1);
    pthread_mutex_unlock(&pool->mutex);
}

void cairn_pool_take_back(struct cairn_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    set_lent(pool, pool->lent - 1);
    pthread_cond_broadcast(&pool->returned);
    pthread_mutex_unlock(&pool->mutex);
}
