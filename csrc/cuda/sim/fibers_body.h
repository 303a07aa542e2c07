// SPDX-License-Identifier: Apache-2.0
/// The threads of a block as fibers: stacks, switches, what the sanitizers are told.

#pragma once

extern "C" void cusim_switch(void **save, void *load);
#if defined(__x86_64__)
__asm__(
    ".text\n.globl cusim_switch\n.hidden cusim_switch\n.type "
    "cusim_switch,@function\ncusim_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
constexpr int kFrame = 8, kEntrySlot = 6;
#elif defined(__aarch64__)
__asm__(
    ".text\n.globl cusim_switch\n.hidden cusim_switch\n.type "
    "cusim_switch,%function\ncusim_switch:\n"
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

std::vector<Thread> threads;  // of the running block; never shrinks
unsigned count;               // threads in the block
void *scheduler_sp;
const std::function<void()> *body;
const char *kernel_name = "";
std::string failure;  // set by the first error of a launch
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
    fprintf(stderr, "cusim: %s: block (%u,%u,%u): %s\n", kernel_name, now.bid.x, now.bid.y,
            now.bid.z, b);
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
    __sanitizer_start_switch_fiber(t.state == kDone ? nullptr : &t.fake_stack, main_stack,
                                   main_stack_size);
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
        t.stack = (char *)mmap(nullptr, kStack + kPage, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (t.stack == MAP_FAILED) {
            perror("cusim: stack");
            abort();
        }
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

}  // namespace
}  // namespace cusim
