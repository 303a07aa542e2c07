// SPDX-License-Identifier: Apache-2.0
/// The one object of this library: instruction set, worker threads, scratch memory.

#ifndef CAIRN_CONTEXT_H
#define CAIRN_CONTEXT_H

#include "cairn_types.h"

#pragma clang assume_nonnull begin

/// An instruction set that the kernels are built for. Every one gives the same bits.
typedef enum CAIRN_CLOSED cairn_isa : int32_t {
    CAIRN_ISA_SCALAR CAIRN_AS("scalar") = 0,
    CAIRN_ISA_NEON CAIRN_AS("neon") = 1,
    CAIRN_ISA_AVX2 CAIRN_AS("avx2") = 2,
    CAIRN_ISA_AVX512 CAIRN_AS("avx512") = 3,
    CAIRN_ISA_AVX512BF16 CAIRN_AS("avx512bf16") = 4,  ///< Only where BF16 passes a self-test.
} cairn_isa;

/// What an operation needs besides its operands.
///
/// The only object this library owns. Every other pointer in this API is borrowed for the
/// duration of the call and never retained. One call at a time per context; several contexts may
/// work at once.
typedef struct cairn_context cairn_context;

/// Whether this build has the instruction set and this machine runs it.
bool cairn_isa_is_supported(cairn_isa isa);

/// The widest supported instruction set.
cairn_isa cairn_isa_best(void);

/// Starts `threads - 1` workers; the caller's thread is the other one.
///
/// - Fails: CAIRN_STATUS_UNSUPPORTED_ISA; CAIRN_STATUS_INVALID_ARGUMENT unless
///          1 <= threads <= 1024; CAIRN_STATUS_OUT_OF_MEMORY; CAIRN_STATUS_THREAD_FAILED when
///          the system refuses a thread.
CAIRN_CHECKED cairn_status cairn_context_create(cairn_isa isa, size_t threads,
                                                cairn_context *_Nullable *_Nonnull context);

/// Joins the workers and frees the scratch memory.
void cairn_context_destroy(cairn_context *context);

cairn_isa cairn_context_isa(const cairn_context *context);
size_t cairn_context_threads(const cairn_context *context);

/// Keeps a worker away from the operations until it is taken back, so that its processor is free for
/// other work; results do not change. From any thread, also while an operation runs, and as often
/// as one likes: of `threads` the last one, the caller's own, always stays.
void cairn_context_lend_worker(cairn_context *context);
/// Once for each `cairn_context_lend_worker`, before the context is destroyed.
void cairn_context_take_back_worker(cairn_context *context);

/// Gives back to the system what was freed and is held for the next allocation: small blocks, which
/// an allocator keeps. Where the C library has no call for it, nothing happens.
void cairn_release_freed_memory(void);

#pragma clang assume_nonnull end

#endif
