// SPDX-License-Identifier: Apache-2.0
/// Scratch memory: one block per context that grows and never shrinks.

#define _DEFAULT_SOURCE 1  // Strict C11 hides posix_memalign and madvise otherwise.

#include "core/core.h"

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

// Blocks are whole huge pages, so that packed panels need few entries of the TLB.
enum { PAGE = 2 << 20 };

void *cairn_scratch(cairn_context *context, size_t bytes) {
    if (bytes <= context->scratch_bytes) return context->scratch;
    if (bytes > SIZE_MAX - PAGE) return NULL;

    const size_t size = (bytes + PAGE - 1) / PAGE * PAGE;
    void *memory = NULL;
    if (posix_memalign(&memory, PAGE, size) != 0) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    (void)madvise(memory, size, MADV_HUGEPAGE);  // Advice only: refused, the pages are small ones.
#endif
    free(context->scratch);
    context->scratch = memory;
    context->scratch_bytes = size;
    return memory;
}
