// SPDX-License-Identifier: Apache-2.0
/// Scheduler and runtime of the host simulator, one translation unit of the parts below.
//
// Every CUDA thread of a block is a fiber; blocks run one after another on the calling thread.
// What it checks, beyond the kernel's results:
//   - barriers and warp intrinsics: every thread (every live lane of the mask) must arrive at the
//     same source line, or the launch fails and the report says who waits where (synccheck);
//   - order: CUSIM_ORDER=0 runs threads forward, 1 in reverse, n>=2 shuffled with seed n, so that a
//     missing barrier gives a wrong result in one of them; -fsanitize=thread finds it by itself
//     (racecheck);
//   - memory: device allocations end at a guard page, are never reused, start as NaNs, and cannot
//     be touched by host code; shared memory is NaNs at the start of every block (memcheck,
//     initcheck); -fsanitize=address adds red zones;
//   - streams: work is queued and runs only when something waits for it, so a missing
//     synchronisation gives stale data. CUSIM_SYNC=1 runs it at once.
// CUSIM_DEVICES=0 hides the device, CUSIM_FAIL_AT=n makes the n-th runtime call fail.
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cuda_runtime.h"

#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define SAN_ADDRESS 1
#endif
#ifdef SAN_THREAD  // -DSAN_THREAD, and this file itself without -fsanitize=thread
#include <sanitizer/tsan_interface.h>
extern "C" void __tsan_java_init(uintptr_t, uintptr_t);
extern "C" void __tsan_java_alloc(uintptr_t, uintptr_t);
#endif
#if defined(SAN_ADDRESS) || defined(SAN_THREAD)
#define SANITIZED 1
#endif

extern char cusim_shared_begin[] __asm__("__start_cusim_shared")
    __attribute__((weak, visibility("hidden")));
extern char cusim_shared_end[] __asm__("__stop_cusim_shared")
    __attribute__((weak, visibility("hidden")));

#include "fibers_body.h"
#include "schedule_body.h"
#include "memory_body.h"
#include "streams_body.h"
#include "launch_body.h"
#include "runtime_body.h"
