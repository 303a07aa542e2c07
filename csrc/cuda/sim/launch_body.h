// SPDX-License-Identifier: Apache-2.0
/// Launches: limits, shared memory, blocks one after another.

#pragma once

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
        char *m = (char *)mmap(nullptr, dyn_map, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
            now.bid = {(unsigned)(i % g.x), (unsigned)(i / g.x % g.y),
                       (unsigned)(i / ((uint64_t)g.x * g.y))};
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
    if (n < 1 || n > 1024 || b.z > 64 || !g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 ||
        g.z > 65535)
        return error(cudaErrorInvalidConfiguration);
    if (smem > limit) return error(cudaErrorInvalidValue);
    return enqueue(s, [=] { run_grid(name, g, b, smem, f); });
}

// A library call that works on device memory from host code (cublasLt, NCCL).
cudaError_t cusim::enqueue_host(const char *name, const void *const *ps, size_t n, cudaStream_t s,
                                std::function<void()> f) {
    ENTER();
    for (size_t i = 0; i < n; i++)
        if (!find(ps[i])) {
            fprintf(stderr, "cusim: %s: %p is not device memory\n", name, ps[i]);
            return error(cudaErrorInvalidValue);
        }
    return enqueue(s, std::move(f));
}
cudaError_t cusim::enqueue_host(const char *name, std::initializer_list<const void *> ps,
                                cudaStream_t s, std::function<void()> f) {
    return enqueue_host(name, ps.begin(), ps.size(), s, std::move(f));
}
