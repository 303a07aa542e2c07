// SPDX-License-Identifier: Apache-2.0
/// Memory: blocks of buffers, and the scratch block of a context, which grows and never shrinks.

#define _DEFAULT_SOURCE 1  // Strict C11 hides posix_memalign and madvise otherwise.

#include "core/core.h"

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#elif defined(__APPLE__)
#include <malloc/malloc.h>
#endif

/// A huge page, and the size from which on a block is whole ones: at most a tenth is lost.
enum { PAGE = 2 << 20, LEAST_PAGES = 10 };

static void *whole_pages(size_t bytes) {
    if (bytes > SIZE_MAX - PAGE) return NULL;
    const size_t size = (bytes + PAGE - 1) / PAGE * PAGE;
    void *memory = NULL;
    if (posix_memalign(&memory, PAGE, size) != 0) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    (void)madvise(memory, size, MADV_HUGEPAGE);  // Advice only: refused, the pages are small ones.
#endif
    return memory;
}

void *cairn_memory(size_t bytes) {
    if (bytes >= (size_t)LEAST_PAGES * PAGE) return whole_pages(bytes);
    return aligned_alloc(64, bytes > 0 ? (bytes + 63) / 64 * 64 : 64);
}

void cairn_release_freed_memory(void) {
#if defined(__GLIBC__)
    (void)malloc_trim(0);
#elif defined(__APPLE__)
    (void)malloc_zone_pressure_relief(NULL, 0);
#endif
}

void *cairn_scratch(cairn_context *context, size_t bytes) {
    if (bytes <= context->scratch_bytes) return context->scratch;
    // Packed panels are read from end to end: few entries of the TLB, whatever their size.
    void *memory = whole_pages(bytes);
    if (!memory) return NULL;
    free(context->scratch);
    context->scratch = memory;
    context->scratch_bytes = (bytes + PAGE - 1) / PAGE * PAGE;
    return memory;
}
