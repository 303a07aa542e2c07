// SPDX-License-Identifier: Apache-2.0
/// The context: created with an instruction set and a number of threads, destroyed as one.

#include "core/core.h"

#include <stdlib.h>

#include "core/threads.h"

enum { MAX_THREADS = 1024 };

cairn_status cairn_context_create(cairn_isa isa, size_t threads, cairn_context **context) {
    if (threads < 1 || threads > MAX_THREADS) return CAIRN_STATUS_INVALID_ARGUMENT;
    const cairn_kernels *kernels = cairn_kernels_for(isa);
    if (!kernels) return CAIRN_STATUS_UNSUPPORTED_ISA;

    cairn_context *made = calloc(1, sizeof *made);
    if (!made) return CAIRN_STATUS_OUT_OF_MEMORY;
    made->isa = isa;
    made->threads = threads;
    made->kernels = kernels;
    const cairn_status status = cairn_pool_create(threads - 1, &made->pool);
    if (status != CAIRN_STATUS_OK) {
        free(made);
        return status;
    }
    *context = made;
    return CAIRN_STATUS_OK;
}

void cairn_context_destroy(cairn_context *context) {
    cairn_pool_destroy(context->pool);
    free(context->scratch);
    free(context);
}

void cairn_context_lend_worker(cairn_context *context) { cairn_pool_lend(context->pool); }
void cairn_context_take_back_worker(cairn_context *context) { cairn_pool_take_back(context->pool); }

cairn_isa cairn_context_isa(const cairn_context *context) { return context->isa; }
size_t cairn_context_threads(const cairn_context *context) { return context->threads; }
