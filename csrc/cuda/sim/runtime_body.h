// SPDX-License-Identifier: Apache-2.0
/// The rest of the runtime: devices, copies, streams and events as calls.

#pragma once

cudaError_t cudaGetDeviceCount(int *n) {
    ENTER();
    *n = (int)env("CUSIM_DEVICES", 1);
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int d) {
    ENTER();
    return d >= 0 && d < env("CUSIM_DEVICES", 1) ? cudaSuccess : error(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int *d) {
    ENTER();
    *d = 0;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *v, cudaDeviceAttr a, int) {
    ENTER();
    switch (a) {
        case cudaDevAttrMaxThreadsPerBlock:
            *v = 1024;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *v = 48 << 10;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *v = 227 << 10;
            break;
        case cudaDevAttrWarpSize:
            *v = 32;
            break;
        case cudaDevAttrMultiProcessorCount:
            *v = 4;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *v = 9;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *v = 0;
            break;
        default:
            return error(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}
cudaError_t cudaGetLastError() {
    LOCK();
    cudaError_t e = last_error;
    last_error = sticky;
    return e;
}
cudaError_t cudaPeekAtLastError() { return last_error; }
const char *cudaGetErrorString(cudaError_t e) {
    switch (e) {
        case cudaSuccess:
            return "no error";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorInvalidConfiguration:
            return "invalid configuration argument";
        case cudaErrorNoDevice:
            return "no CUDA-capable device is detected";
        case cudaErrorIllegalAddress:
            return "an illegal memory access was encountered";
        case cudaErrorLaunchFailure:
            return "unspecified launch failure";
        default:
            return "invalid argument";
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
cudaError_t cudaMallocHost(void **p, size_t n) {
    ENTER();
    return (*p = malloc(n ? n : 1)) ? cudaSuccess : error(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void *p) {
    ENTER();
    drain_all();
    free(p);
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *d, const void *s, size_t n, cudaMemcpyKind k, cudaStream_t st) {
    ENTER();
    const bool dd = k == cudaMemcpyHostToDevice || k == cudaMemcpyDeviceToDevice;
    const bool sd = k == cudaMemcpyDeviceToHost || k == cudaMemcpyDeviceToDevice;
    if (n && k != cudaMemcpyDefault && (dd != is_device(d, n) || sd != is_device(s, n))) {
        fprintf(stderr,
                "cusim: cudaMemcpy kind %d does not fit its pointers, or %zu bytes leave the "
                "allocation\n",
                k, n);
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
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    LOCK();
    drain(s);
    streams.erase(s);
    delete s;
    return sticky;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    ENTER();
    drain(s ? s : &legacy);
    return sticky ? error(sticky) : cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    ENTER();
    drain_all();
    return sticky ? error(sticky) : cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) {
    ENTER();
    *e = new cusim_event;
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) {
    delete e;
    return sticky;
}
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
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    ENTER();
    if (e->s) run_until(e->s, e->at);
    return sticky ? error(sticky) : cudaSuccess;
}
extern "C" void cusim_reset() {  // forgets a sticky error, as a new process would
    LOCK();
    for (auto *s : streams) s->q.clear(), s->done = s->queued;
    sticky = last_error = cudaSuccess;
}
