// Scheduler and runtime of the host simulator.
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

extern char cusim_shared_begin[] __asm__("__start_cusim_shared") __attribute__((weak, visibility("hidden")));
extern char cusim_shared_end[] __asm__("__stop_cusim_shared") __attribute__((weak, visibility("hidden")));

// ------------------------------------------------------------------ fibers
extern "C" void cusim_switch(void **save, void *load);
#if defined(__x86_64__)
__asm__(".text\n.globl cusim_switch\n.hidden cusim_switch\n.type cusim_switch,@function\ncusim_switch:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
constexpr int kFrame = 8, kEntrySlot = 6;
#elif defined(__aarch64__)
__asm__(".text\n.globl cusim_switch\n.hidden cusim_switch\n.type cusim_switch,%function\ncusim_switch:\n"
        "sub sp,sp,#160\nstp x19,x20,[sp]\nstp x21,x22,[sp,#16]\nstp x23,x24,[sp,#32]\n"
        "stp x25,x26,[sp,#48]\nstp x27,x28,[sp,#64]\nstp x29,x30,[sp,#80]\n"
        "stp d8,d9,[sp,#96]\nstp d10,d11,[sp,#112]\nstp d12,d13,[sp,#128]\nstp d14,d15,[sp,#144]\n"
        "mov x9,sp\nstr x9,[x0]\nmov sp,x1\n"
        "ldp x19,x20,[sp]\nldp x21,x22,[sp,#16]\nldp x23,x24,[sp,#32]\nldp x25,x26,[sp,#48]\n"
        "ldp x27,x28,[sp,#64]\nldp x29,x30,[sp,#80]\nldp d8,d9,[sp,#96]\nldp d10,d11,[sp,#112]\n"
        "ldp d12,d13,[sp,#128]\nldp d14,d15,[sp,#144]\nadd sp,sp,#160\nret\n");
constexpr int kFrame = 20, kEntrySlot = 11;
#else
#error "cusim: add a context switch for this CPU"
#endif

namespace cusim {
Thread *current;
Grid now;
namespace {
enum State : unsigned { kReady, kAtWarp, kAtBlock, kDone };
#ifdef SANITIZED
constexpr size_t kStack = 512 << 10;
#else
constexpr size_t kStack = 128 << 10;
#endif
constexpr size_t kPage = 4096;

std::vector<Thread> threads;   // of the running block; never shrinks
unsigned count;                // threads in the block
void *scheduler_sp;
const std::function<void()> *body;
const char *kernel_name = "";
std::string failure;           // set by the first error of a launch
cudaError_t failure_code = cudaSuccess, last_error = cudaSuccess, sticky = cudaSuccess;
std::mt19937 rng;
sigjmp_buf fault_return;
#ifdef SAN_THREAD
char sync_start, sync_end;
std::vector<std::vector<uint64_t>> sync_tags;  // per block: 2 for barriers, 2 for each warp
bool by_block;  // CUSIM_RACE=1: one TSan context per block, to see races between blocks
void *tag(unsigned i) { return &sync_tags.back()[i]; }
#endif

long env(const char *name, long otherwise) {
  const char *s = getenv(name);
  return s && *s ? atol(s) : otherwise;
}

void fail(cudaError_t code, const char *fmt, ...) {
  char b[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(b, sizeof b, fmt, ap);
  va_end(ap);
  if (!failure.empty()) return;
  failure = b;
  failure_code = code;
  fprintf(stderr, "cusim: %s: block (%u,%u,%u): %s\n", kernel_name, now.bid.x, now.bid.y, now.bid.z, b);
}

#ifdef SAN_ADDRESS
const void *main_stack;
size_t main_stack_size;
void *main_fake;
#endif
#ifdef SAN_THREAD
void *main_fiber;
#endif

void to_fiber(Thread &t) {
  current = &t;
#ifdef SAN_ADDRESS
  __sanitizer_start_switch_fiber(&main_fake, t.stack, kStack);
#endif
#ifdef SAN_THREAD
  main_fiber = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(t.tsan, __tsan_switch_to_fiber_no_sync);
#endif
  cusim_switch(&scheduler_sp, t.sp);
#ifdef SAN_ADDRESS
  __sanitizer_finish_switch_fiber(main_fake, nullptr, nullptr);
#endif
  current = nullptr;
}

void to_scheduler(Thread &t) {
#ifdef SAN_ADDRESS
  __sanitizer_start_switch_fiber(t.state == kDone ? nullptr : &t.fake_stack, main_stack, main_stack_size);
#endif
#ifdef SAN_THREAD
  __tsan_switch_to_fiber(main_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  cusim_switch(&t.sp, scheduler_sp);
#ifdef SAN_ADDRESS
  __sanitizer_finish_switch_fiber(t.fake_stack, &main_stack, &main_stack_size);
#endif
}

void fiber_main() {
  Thread &t = *current;
#ifdef SAN_ADDRESS
  __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_stack_size);
#endif
#ifdef SAN_THREAD
  __tsan_acquire(&sync_start);
#endif
  (*body)();
#ifdef SAN_THREAD
  __tsan_release(&sync_end);
#endif
  t.state = kDone;
  to_scheduler(t);
  abort();
}

void start(Thread &t, unsigned lin) {
  if (!t.stack) {
    t.stack = (char *)mmap(nullptr, kStack + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t.stack == MAP_FAILED) { perror("cusim: stack"); abort(); }
    mprotect(t.stack, kPage, PROT_NONE);
    t.stack += kPage;
  }
  void **sp = (void **)(t.stack + kStack) - kFrame;
  memset(sp, 0, kFrame * sizeof *sp);
  sp[kEntrySlot] = (void *)fiber_main;
  t.sp = sp;
  t.lin = lin;
  t.state = kReady;
  t.phase = t.barriers = 0;
  t.tid = {lin % now.block.x, lin / now.block.x % now.block.y, lin / (now.block.x * now.block.y)};
#ifdef SAN_THREAD
  if (t.tsan && (!by_block || lin == 0)) __tsan_destroy_fiber(t.tsan);
  const size_t used = 32 << 10;  // the last user of this stack is unordered with the new one
  __tsan_java_alloc((uintptr_t)t.stack + kStack - used, used);
  t.tsan = by_block && lin ? threads[0].tsan : __tsan_create_fiber(0);
#endif
}

bool same_place(const Thread &a, const Thread &b) {
  return a.op == b.op && a.line == b.line && !strcmp(a.file, b.file);
}

// Completes the warp intrinsics of one warp whose lanes have all arrived.
bool resolve_warp(unsigned base) {
  const unsigned lanes = std::min(32u, count - base);
  Thread *const w = &threads[base];
  bool released = false;
  for (unsigned l = 0; l < lanes; l++) {
    Thread &t = w[l];
    if (t.state != kAtWarp) continue;
    unsigned live = 0;
    bool all = true;
    for (unsigned k = 0; k < lanes && all; k++) {
      if (!(t.mask >> k & 1) || w[k].state == kDone) continue;
      if (w[k].state == kAtWarp && w[k].mask == t.mask && same_place(w[k], t)) live |= 1u << k;
      else all = false;
    }
    if (!all) continue;
    uint64_t ballot = 0, sum = 0, mx = 0, mn = ~0u;
    for (unsigned k = 0; k < lanes; k++)
      if (live >> k & 1) {
        ballot |= (uint64_t)(w[k].in != 0) << k;
        sum += w[k].in;
        mx = std::max(mx, w[k].in);
        mn = std::min(mn, w[k].in);
      }
    for (unsigned k = 0; k < lanes; k++) {
      if (!(live >> k & 1)) continue;
      Thread &u = w[k];
      const int seg = k & ~(u.width - 1), last = seg + (int)u.width - 1;
      int src = -1;
      switch (u.op) {
        case kShflIdx: src = seg + (u.arg & ((int)u.width - 1)); break;
        case kShflUp: src = (int)k - u.arg < seg ? (int)k : (int)k - u.arg; break;
        case kShflDown: src = (int)k + u.arg > last ? (int)k : (int)k + u.arg; break;
        case kShflXor: src = ((int)k ^ u.arg) > last ? (int)k : (int)k ^ u.arg; break;
        case kBallot: u.out = ballot; break;
        case kAll: u.out = ballot == live; break;
        case kAny: u.out = ballot != 0; break;
        case kAddU: u.out = (unsigned)sum; break;
        case kMaxU: u.out = mx; break;
        case kMinU: u.out = mn; break;
        default: u.out = 0;
      }
      if (src >= 0) u.out = live >> src & 1 ? w[src].in : ~0ull;  // a lane outside: NaN
      u.state = kReady;
    }
    released = true;
  }
  return released;
}

void describe_stuck() {
  std::map<std::string, std::vector<unsigned>> where;
  for (unsigned i = 0; i < count; i++) {
    const Thread &t = threads[i];
    char b[512];
    if (t.state == kDone) snprintf(b, sizeof b, "have returned");
    else if (t.state == kAtWarp) snprintf(b, sizeof b, "wait in %s mask %08x at %s:%d", t.what, t.mask, t.file, t.line);
    else snprintf(b, sizeof b, "wait in %s at %s:%d", t.what, t.file, t.line);
    where[b].push_back(i);
  }
  std::string s = "threads do not meet:";
  for (auto &[k, v] : where) {
    char b[700];
    snprintf(b, sizeof b, "\n  %zu threads (%u..%u) %s", v.size(), v.front(), v.back(), k.c_str());
    s += b;
  }
  fail(cudaErrorLaunchFailure, "%s", s.c_str());
}

bool resolve_block() {
  unsigned waiting = 0, done = 0, pred = 0;
  const Thread *first = nullptr;
  for (unsigned i = 0; i < count; i++) {
    const Thread &t = threads[i];
    if (t.state == kDone) { done++; continue; }
    if (t.state != kAtBlock || (first && !same_place(*first, t))) return false;
    first = &t;
    waiting++;
    pred += t.in != 0;
  }
  if (done) return false;  // some threads returned before the barrier
  for (unsigned i = 0; i < count; i++) {
    Thread &t = threads[i];
    t.out = t.op == kCount ? pred : t.op == kAnd ? pred == waiting : pred != 0;
    t.state = kReady;
  }
  return true;
}

void run_block(int order) {
  std::vector<unsigned> warps((count + 31) / 32), lanes(32);
  for (unsigned i = 0; i < warps.size(); i++) warps[i] = i;
  for (unsigned i = 0; i < 32; i++) lanes[i] = i;
  if (order == 1) { std::reverse(warps.begin(), warps.end()); std::reverse(lanes.begin(), lanes.end()); }
  const size_t shared = cusim_shared_begin ? cusim_shared_end - cusim_shared_begin : 0;
#ifdef SAN_THREAD  // new shared memory for every block, or blocks would seem to race on it
  sync_tags.emplace_back(2 + 2 * warps.size());
  by_block = env("CUSIM_RACE", 0);
  static bool java = (__tsan_java_init(8, (uintptr_t)1 << 47), true);
  (void)java;
  if (shared) __tsan_java_alloc((uintptr_t)cusim_shared_begin & ~7, (shared + 15) & ~7);
  if (now.smem) __tsan_java_alloc((uintptr_t)now.dyn & ~7, (now.smem + 15) & ~7);
#else
  if (shared) memset(cusim_shared_begin, 0xff, shared);
  if (now.smem) memset(now.dyn, 0xff, now.smem);
#endif
  for (unsigned i = 0; i < count; i++) start(threads[i], i);
  for (;;) {
    bool ran = false;
    if (order > 1) { std::shuffle(warps.begin(), warps.end(), rng); std::shuffle(lanes.begin(), lanes.end(), rng); }
    for (unsigned w : warps) {
      bool again;
      do {
        for (unsigned l : lanes) {
          const unsigned i = w * 32 + l;
          if (i >= count || threads[i].state != kReady) continue;
          ran = true;
          to_fiber(threads[i]);
          if (!failure.empty()) return;
        }
        again = resolve_warp(w * 32);
      } while (again && (order < 2 || (rng() & 3)));
    }
    if (ran) continue;
    unsigned done = 0;
    for (unsigned i = 0; i < count; i++) done += threads[i].state == kDone;
    if (done == count) return;
    if (!resolve_block()) return describe_stuck();
  }
}
}  // namespace

uint64_t warp_op(Op op, unsigned mask, uint64_t v, int arg, int width, const char *what,
                 const char *file, int line) {
  Thread &t = *current;
  if (!(mask >> (t.lin & 31) & 1))
    fail(cudaErrorLaunchFailure, "thread %u calls %s with mask %08x that lacks its own lane, %s:%d", t.lin, what, mask, file, line);
  t.op = op, t.mask = mask, t.in = v, t.arg = arg, t.width = width, t.what = what, t.file = file, t.line = line;
  t.state = kAtWarp;
#ifdef SAN_THREAD  // only __syncwarp orders memory; a shuffle does not
  const unsigned sync = 2 + t.lin / 32 * 2 + (op == kSyncWarp ? t.phase++ & 1 : 0);
  if (op == kSyncWarp) __tsan_release(tag(sync));
#endif
  to_scheduler(t);
#ifdef SAN_THREAD
  if (op == kSyncWarp) __tsan_acquire(tag(sync));
#endif
  return t.out;
}

// mma.sync.m16n8k16.row.col.f32.bf16.bf16.f32, fragment layout of the PTX ISA.
void mma_m16n8k16_bf16(float *d, const uint32_t *a, const uint32_t *b, const float *c) {
  static struct { uint32_t a[4], b[2]; } frag[1024];
  const unsigned lin = current->lin, lane = lin & 31, g = lane >> 2, t = lane & 3;
  auto *const w = frag + (lin & ~31u);
  memcpy(w[lane].a, a, sizeof w->a);
  memcpy(w[lane].b, b, sizeof w->b);
  warp_op(kBallot, ~0u, 0, 0, 32, "mma.sync", "mma.m16n8k16", 0);
  auto half = [](uint32_t u, unsigned hi) { return from<float>(hi ? u & 0xffff0000u : u << 16); };
  float r[4];
  for (unsigned i = 0; i < 4; i++) {
    const unsigned row = g + (i & 2 ? 8 : 0), col = 2 * t + (i & 1);
    float acc = c[i];
    for (unsigned k = 0; k < 16; k++) {
      const unsigned q = (k & 7) >> 1, k8 = k >> 3;  // lane in the group, upper half of K
      acc += half(w[(row & 7) * 4 + q].a[k8 * 2 + (row >> 3)], k & 1) * half(w[col * 4 + q].b[k8], k & 1);
    }
    r[i] = acc;
  }
  warp_op(kBallot, ~0u, 0, 0, 32, "mma.sync", "mma.m16n8k16", 1);
  memcpy(d, r, sizeof r);
}

void device_fail(const char *fmt, ...) {
  char b[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(b, sizeof b, fmt, ap);
  va_end(ap);
  fail(cudaErrorIllegalAddress, "thread (%u,%u,%u): %s", current->tid.x, current->tid.y, current->tid.z, b);
  for (;;) to_scheduler(*current);
}

int block_op(Op op, int v, const char *what, const char *file, int line) {
  Thread &t = *current;
  t.op = op, t.in = v != 0, t.what = what, t.file = file, t.line = line;
  t.state = kAtBlock;
#ifdef SAN_THREAD
  const unsigned sync = t.barriers++ & 1;
  __tsan_release(tag(sync));
#endif
  to_scheduler(t);
#ifdef SAN_THREAD
  __tsan_acquire(tag(sync));
#endif
  return (int)t.out;
}
}  // namespace cusim

// ------------------------------------------------------------------ device memory
using namespace cusim;
namespace {
struct Range { size_t size; char *page; size_t pages; };
std::map<char *, Range> live;
size_t live_bytes;
int device_depth;

#ifndef SANITIZED
constexpr size_t kArena = (size_t)1 << 40;
char *arena, *arena_next;

void on_fault(int sig, siginfo_t *si, void *) {
  char *a = (char *)si->si_addr;
  if (a >= arena && a < arena + kArena) {
    char where[200] = "freed or never allocated device memory";
    auto it = live.upper_bound(a);
    if (it != live.begin()) {
      --it;
      snprintf(where, sizeof where, "%zd bytes past the start of an allocation of %zu", (ssize_t)(a - it->first), it->second.size);
    }
    if (current) {
      fail(cudaErrorIllegalAddress, "thread (%u,%u,%u): illegal address, %s", current->tid.x, current->tid.y, current->tid.z, where);
      siglongjmp(fault_return, 1);
    }
    fprintf(stderr, "cusim: host code touches device memory: %s\n", where);
  } else if (current) {
    fprintf(stderr, "cusim: %s: thread (%u,%u,%u) of block (%u,%u,%u) faults at %p, not device memory\n", kernel_name,
            current->tid.x, current->tid.y, current->tid.z, now.bid.x, now.bid.y, now.bid.z, (void *)a);
  }
  signal(sig, SIG_DFL);
}

void arena_init() {
  if (arena) return;
  arena = arena_next = (char *)mmap(nullptr, kArena, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == MAP_FAILED) { perror("cusim: arena"); abort(); }
  static char alt[64 << 10];
  stack_t ss = {};
  ss.ss_sp = alt;
  ss.ss_size = sizeof alt;
  sigaltstack(&ss, nullptr);
  struct sigaction sa = {};
  sa.sa_sigaction = on_fault;
  sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &sa, nullptr);
  sigaction(SIGBUS, &sa, nullptr);
}
#endif

void protect(int prot) {
#ifndef SANITIZED
  for (auto &[p, r] : live) mprotect(r.page, r.pages, prot);
#else
  (void)prot;
#endif
}
struct OnDevice {  // device memory is reachable only inside
  OnDevice() { if (!device_depth++) protect(PROT_READ | PROT_WRITE); }
  ~OnDevice() { if (!--device_depth) protect(PROT_NONE); }
};

const std::pair<char *const, Range> *find(const void *p) {
  auto it = live.upper_bound((char *)p);
  if (it == live.begin()) return nullptr;
  --it;
  return (char *)p < it->first + std::max<size_t>(it->second.size, 1) ? &*it : nullptr;
}
bool is_device(const void *p, size_t n) {
  auto *r = find(p);
  return r && (char *)p + n <= r->first + r->second.size;
}

long calls;
cudaError_t error(cudaError_t e) { if (e) last_error = e; return e; }
// Every runtime call passes here: injected failures and sticky errors.
std::recursive_mutex mutex;
#define LOCK() std::lock_guard<std::recursive_mutex> lock_(mutex)
#define ENTER()                                                                               \
  LOCK();                                                                                     \
  do {                                                                                        \
    if (sticky) return error(sticky);                                                         \
    if (env("CUSIM_DEVICES", 1) <= 0) return error(cudaErrorNoDevice);                        \
    if (++calls == env("CUSIM_FAIL_AT", -1)) return error(cudaErrorMemoryAllocation);         \
  } while (0)
}  // namespace

void cusim::check_pointer(const char *, int index, const void *p) {
  if (p && !find(p)) fail(cudaErrorIllegalAddress, "argument %d, %p, is not device memory", index, p);
}

cudaError_t cudaMalloc(void **out, size_t n) {
  ENTER();
  *out = nullptr;
  if (n > (size_t)env("CUSIM_MEMORY", (long)8 << 30) - live_bytes) return error(cudaErrorMemoryAllocation);
#ifdef SANITIZED
  char *p = (char *)aligned_alloc(256, (n + 255) / 256 * 256), *page = p;
  size_t pages = n;
#ifdef SAN_ADDRESS
  free(p);
  p = page = (char *)malloc(n);  // exact size, so that the red zone starts at the end
#endif
  memset(p, 0xff, n);
#else
  arena_init();
  const size_t pages = (n + 15 + kPage - 1) / kPage * kPage;
  char *page = arena_next;
  arena_next += pages + kPage;
  char *p = page + (pages - (n + 15) / 16 * 16);  // 16-byte aligned, ends at the guard page
  mprotect(page, pages, PROT_READ | PROT_WRITE);
  memset(page, 0xff, pages);
  if (!device_depth) mprotect(page, pages, PROT_NONE);
#endif
  live[p] = {n, page, pages};
  live_bytes += n;
  *out = p;
  return cudaSuccess;
}

// ------------------------------------------------------------------ streams
struct cusim_stream {
  std::deque<std::function<void()>> q;
  uint64_t queued = 0, done = 0;
  bool blocking = true;
};
struct cusim_event { cusim_stream *s = nullptr; uint64_t at = 0; };
namespace {
cusim_stream legacy;
std::set<cusim_stream *> streams{&legacy};

void run_until(cusim_stream *s, uint64_t n) {
  if (!streams.count(s)) return;
  OnDevice on;
  while (s->done < n && !s->q.empty()) {
    auto f = std::move(s->q.front());
    s->q.pop_front();
    s->done++;
    if (!sticky) f();
  }
}
void drain(cusim_stream *s) { run_until(s, s->queued); }
void drain_all() { for (auto *s : std::set<cusim_stream *>(streams)) drain(s); }

cudaError_t enqueue(cudaStream_t s, std::function<void()> f) {
  if (!s) {
    for (auto *o : std::set<cusim_stream *>(streams)) if (o->blocking && o != &legacy) drain(o);
    s = &legacy;
  } else if (s->blocking) {
    drain(&legacy);
  }
  s->q.push_back(std::move(f));
  s->queued++;
  if (env("CUSIM_SYNC", 0)) drain(s);
  return cudaSuccess;
}
}  // namespace

// ------------------------------------------------------------------ launches
namespace {
std::map<const void *, int> smem_limit;

// Kernels are built with -ftz=true: denormals are 0 while they run, on either side of an operation.
struct Flushed {
#if defined(__x86_64__)
  unsigned before = __builtin_ia32_stmxcsr();
  Flushed() { __builtin_ia32_ldmxcsr(before | 0x8040); }
  ~Flushed() { __builtin_ia32_ldmxcsr(before); }
#else
  uint64_t before;
  Flushed() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" ::"r"(before | 1u << 24));
  }
  ~Flushed() { __asm__ volatile("msr fpcr, %0" ::"r"(before)); }
#endif
};

void run_grid(const char *name, dim3 g, dim3 b, size_t smem, const std::function<void()> &f) {
  const Flushed flushed;
  const int order = (int)env("CUSIM_ORDER", 0);
  rng.seed((unsigned)order);
  kernel_name = name;
  failure.clear();
  body = &f;
  count = b.x * b.y * b.z;
  if (threads.size() < count) threads.resize(count);
  char *dyn = nullptr;
  [[maybe_unused]] size_t dyn_map = 0;
  if (smem) {
#ifdef SANITIZED
    dyn = (char *)malloc(smem);
#else
    dyn_map = (smem + kPage - 1) / kPage * kPage + kPage;
    char *m = (char *)mmap(nullptr, dyn_map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(m + dyn_map - kPage, kPage, PROT_NONE);
    dyn = m + dyn_map - kPage - (smem + 15) / 16 * 16;
#endif
  }
  now = {g, b, {0, 0, 0}, smem, dyn};
  const uint64_t blocks = (uint64_t)g.x * g.y * g.z;
#ifdef SAN_THREAD
  __tsan_release(&sync_start);
#endif
  if (sigsetjmp(fault_return, 1) == 0) {
    for (uint64_t k = 0; k < blocks && failure.empty(); k++) {
      const uint64_t i = order == 1 ? blocks - 1 - k : k;
      now.bid = {(unsigned)(i % g.x), (unsigned)(i / g.x % g.y), (unsigned)(i / ((uint64_t)g.x * g.y))};
      run_block(order);
    }
  }
  current = nullptr;
#ifdef SAN_THREAD
  __tsan_acquire(&sync_end);
  sync_tags.clear();
#endif
  if (smem) {
#ifdef SANITIZED
    free(dyn);
#else
    munmap(dyn + (smem + 15) / 16 * 16 + kPage - dyn_map, dyn_map);
#endif
  }
  if (!failure.empty()) sticky = last_error = failure_code;
}
}  // namespace

cudaError_t cusim::set_smem_limit(const void *fn, int v) {
  ENTER();
  if (v > 227 * 1024) return error(cudaErrorInvalidValue);
  smem_limit[fn] = v;
  return cudaSuccess;
}

cudaError_t cusim::enqueue_kernel(const char *name, const void *fn, dim3 g, dim3 b, size_t smem,
                                  cudaStream_t s, std::function<void()> f) {
  ENTER();
  const uint64_t n = (uint64_t)b.x * b.y * b.z;
  const size_t limit = smem_limit.count(fn) ? (size_t)smem_limit[fn] : 48 * 1024;
  if (n < 1 || n > 1024 || b.z > 64 || !g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
    return error(cudaErrorInvalidConfiguration);
  if (smem > limit) return error(cudaErrorInvalidValue);
  return enqueue(s, [=] { run_grid(name, g, b, smem, f); });
}

// A library call that works on device memory from host code (cublasLt).
cudaError_t cusim::enqueue_host(const char *name, std::initializer_list<const void *> ps,
                                cudaStream_t s, std::function<void()> f) {
  ENTER();
  for (const void *p : ps)
    if (!find(p)) { fprintf(stderr, "cusim: %s: %p is not device memory\n", name, p); return error(cudaErrorInvalidValue); }
  return enqueue(s, std::move(f));
}

// ------------------------------------------------------------------ the rest of the API
cudaError_t cudaGetDeviceCount(int *n) {
  ENTER();
  *n = (int)env("CUSIM_DEVICES", 1);
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int d) {
  ENTER();
  return d >= 0 && d < env("CUSIM_DEVICES", 1) ? cudaSuccess : error(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int *d) { ENTER(); *d = 0; return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int *v, cudaDeviceAttr a, int) {
  ENTER();
  switch (a) {
    case cudaDevAttrMaxThreadsPerBlock: *v = 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *v = 48 << 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *v = 227 << 10; break;
    case cudaDevAttrWarpSize: *v = 32; break;
    case cudaDevAttrMultiProcessorCount: *v = 4; break;
    case cudaDevAttrComputeCapabilityMajor: *v = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *v = 0; break;
    default: return error(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { LOCK(); cudaError_t e = last_error; last_error = sticky; return e; }
cudaError_t cudaPeekAtLastError() { return last_error; }
const char *cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    default: return "invalid argument";
  }
}
cudaError_t cudaFree(void *p) {
  ENTER();
  if (!p) return cudaSuccess;
  auto it = live.find((char *)p);
  if (it == live.end()) return error(cudaErrorInvalidValue);
  drain_all();
#ifdef SANITIZED
  free(p);
#else
  mprotect(it->second.page, it->second.pages, PROT_NONE);
  madvise(it->second.page, it->second.pages, MADV_DONTNEED);
#endif
  live_bytes -= it->second.size;
  live.erase(it);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void **p, size_t n) { ENTER(); return (*p = malloc(n ? n : 1)) ? cudaSuccess : error(cudaErrorMemoryAllocation); }
cudaError_t cudaFreeHost(void *p) { ENTER(); drain_all(); free(p); return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void *d, const void *s, size_t n, cudaMemcpyKind k, cudaStream_t st) {
  ENTER();
  const bool dd = k == cudaMemcpyHostToDevice || k == cudaMemcpyDeviceToDevice;
  const bool sd = k == cudaMemcpyDeviceToHost || k == cudaMemcpyDeviceToDevice;
  if (n && k != cudaMemcpyDefault && (dd != is_device(d, n) || sd != is_device(s, n))) {
    fprintf(stderr, "cusim: cudaMemcpy kind %d does not fit its pointers, or %zu bytes leave the allocation\n", k, n);
    return error(cudaErrorInvalidValue);
  }
  return enqueue(st, [=] { memcpy(d, s, n); });
}
cudaError_t cudaMemsetAsync(void *d, int v, size_t n, cudaStream_t st) {
  ENTER();
  if (n && !is_device(d, n)) return error(cudaErrorInvalidValue);
  return enqueue(st, [=] { memset(d, v, n); });
}
cudaError_t cudaMemcpy(void *d, const void *s, size_t n, cudaMemcpyKind k) {
  LOCK();
  cudaError_t e = cudaMemcpyAsync(d, s, n, k, nullptr);
  drain(&legacy);
  return e ? e : sticky;
}
cudaError_t cudaMemset(void *d, int v, size_t n) { return cudaMemsetAsync(d, v, n, nullptr); }
cudaError_t cudaMemGetInfo(size_t *f, size_t *t) {
  ENTER();
  *t = (size_t)env("CUSIM_MEMORY", (long)8 << 30);
  *f = *t - live_bytes;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned f) {
  ENTER();
  *s = new cusim_stream;
  (*s)->blocking = !(f & cudaStreamNonBlocking);
  streams.insert(*s);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) { LOCK(); drain(s); streams.erase(s); delete s; return sticky; }
cudaError_t cudaStreamSynchronize(cudaStream_t s) { ENTER(); drain(s ? s : &legacy); return sticky ? error(sticky) : cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { ENTER(); drain_all(); return sticky ? error(sticky) : cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) { ENTER(); *e = new cusim_event; return cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t e) { delete e; return sticky; }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  ENTER();
  e->s = s ? s : &legacy;
  e->at = e->s->queued;
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  ENTER();
  return e->s ? enqueue(s, [o = e->s, n = e->at] { run_until(o, n); }) : cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) { ENTER(); if (e->s) run_until(e->s, e->at); return sticky ? error(sticky) : cudaSuccess; }
extern "C" void cusim_reset() {  // forgets a sticky error, as a new process would
  LOCK();
  for (auto *s : streams) s->q.clear(), s->done = s->queued;
  sticky = last_error = cudaSuccess;
}
