// SPDX-License-Identifier: Apache-2.0
/// Device memory: guarded, never reused, full of NaN, out of reach of host code.

#pragma once

using namespace cusim;
namespace {
struct Range {
    size_t size;
    char *page;
    size_t pages;
};
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
            snprintf(where, sizeof where, "%zd bytes past the start of an allocation of %zu",
                     (ssize_t)(a - it->first), it->second.size);
        }
        if (current) {
            fail(cudaErrorIllegalAddress, "thread (%u,%u,%u): illegal address, %s", current->tid.x,
                 current->tid.y, current->tid.z, where);
            siglongjmp(fault_return, 1);
        }
        fprintf(stderr, "cusim: host code touches device memory: %s\n", where);
    } else if (current) {
        fprintf(
            stderr,
            "cusim: %s: thread (%u,%u,%u) of block (%u,%u,%u) faults at %p, not device memory\n",
            kernel_name, current->tid.x, current->tid.y, current->tid.z, now.bid.x, now.bid.y,
            now.bid.z, (void *)a);
    }
    signal(sig, SIG_DFL);
}

void arena_init() {
    if (arena) return;
    arena = arena_next = (char *)mmap(nullptr, kArena, PROT_NONE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) {
        perror("cusim: arena");
        abort();
    }
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
    OnDevice() {
        if (!device_depth++) protect(PROT_READ | PROT_WRITE);
    }
    ~OnDevice() {
        if (!--device_depth) protect(PROT_NONE);
    }
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
cudaError_t error(cudaError_t e) {
    if (e) last_error = e;
    return e;
}
// Every runtime call passes here: injected failures and sticky errors.
std::recursive_mutex mutex;
#define LOCK() std::lock_guard<std::recursive_mutex> lock_(mutex)
#define ENTER()                                                                           \
    LOCK();                                                                               \
    do {                                                                                  \
        if (sticky) return error(sticky);                                                 \
        if (env("CUSIM_DEVICES", 1) <= 0) return error(cudaErrorNoDevice);                \
        if (++calls == env("CUSIM_FAIL_AT", -1)) return error(cudaErrorMemoryAllocation); \
    } while (0)
}  // namespace

void cusim::check_pointer(const char *, int index, const void *p) {
    if (p && !find(p))
        fail(cudaErrorIllegalAddress, "argument %d, %p, is not device memory", index, p);
}

cudaError_t cudaMalloc(void **out, size_t n) {
    ENTER();
    *out = nullptr;
    if (n > (size_t)env("CUSIM_MEMORY", (long)8 << 30) - live_bytes)
        return error(cudaErrorMemoryAllocation);
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
