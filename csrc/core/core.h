// SPDX-License-Identifier: Apache-2.0
/// What the operations share inside the library: the context, parallel loops, scratch memory.

#ifndef CAIRN_CORE_H
#define CAIRN_CORE_H

// No file of the library may contract a*b+c by itself: fused means written as fma.
#pragma STDC FP_CONTRACT OFF

#include "cairn.h"
#include "core/kernels.h"

struct cairn_pool;

struct cairn_context {
    cairn_isa isa;
    size_t threads;
    const cairn_kernels *kernels;
    struct cairn_pool *pool;
    void *scratch;
    size_t scratch_bytes;
};

/// One tile of a parallel loop. `worker` is in 0..<threads; a tile may read it only to find its
/// own scratch memory, never to decide what to compute.
typedef void (*cairn_task)(const void *arguments, size_t tile, size_t worker);

/// Runs tiles 0..<tiles, each once, on the workers and the caller; returns when all are done.
///
/// Denormals are flushed (FTZ and DAZ, or FZ) while tiles run, on every thread; the caller's
/// floating-point state is restored. Which thread takes which tile is not specified.
void cairn_parallel(cairn_context *context, size_t tiles, cairn_task task, const void *arguments);

/// Memory of the context, aligned to 64 bytes, valid until the next call of an operation; null
/// when it cannot grow. Grows only, so that a step of the same shapes allocates nothing.
void *cairn_scratch(cairn_context *context, size_t bytes);

/// Memory aligned to 64 bytes, not cleared; null when there is none. Freed with `free`.
///
/// What is large lies on huge pages where the system has them: rows of activations are far apart,
/// and every small page among them costs a look-up.
void *cairn_memory(size_t bytes);

/// The kernels of an instruction set, or null when this machine lacks it.
const cairn_kernels *cairn_kernels_for(cairn_isa isa);

/// A range of rows or elements that one tile works on: rows are cut on multiples of `grain`.
typedef struct cairn_range {
    size_t begin, end;
} cairn_range;

/// The first of `tiles` tiles that a worker takes before it helps others; its share ends where the
/// next worker's begins.
static inline size_t cairn_share(size_t tiles, size_t worker, size_t workers) {
    return worker * tiles / workers;
}

static inline size_t cairn_tiles(size_t count, size_t grain) { return (count + grain - 1) / grain; }

static inline cairn_range cairn_tile(size_t count, size_t grain, size_t tile) {
    const size_t begin = tile * grain;
    return (cairn_range){begin, begin + grain < count ? begin + grain : count};
}

#endif
