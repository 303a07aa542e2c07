// SPDX-License-Identifier: Apache-2.0
/// Opens and closes devices, and says why they fail.

#include "context.h"

#include <stdarg.h>
#include <stdio.h>

#include <new>

namespace cairn {
namespace {

/// The bf16 tensor cores came with Ampere.
constexpr int LEAST_CAPABILITY = 8;

thread_local char error_text[256] = "";

}  // namespace

cairn_cuda_status refuse(cairn_cuda_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error_text, sizeof error_text, format, arguments);
    va_end(arguments);
    return status;
}

namespace {

/// A runtime's error where no context exists yet.
cairn_cuda_status refuse_error(cudaError_t error, const char *what) {
    (void)cudaGetLastError();
    switch (error) {
    case cudaSuccess:
        return CAIRN_CUDA_STATUS_OK;
    case cudaErrorInsufficientDriver:
        return refuse(CAIRN_CUDA_STATUS_NO_DEVICE,
                      "there is no NVIDIA driver, or it is older than CUDA 13 needs");
    case cudaErrorNoDevice:
        return refuse(CAIRN_CUDA_STATUS_NO_DEVICE, "there is no CUDA device");
    case cudaErrorMemoryAllocation:
        return refuse(CAIRN_CUDA_STATUS_OUT_OF_MEMORY, "%s: out of memory", what);
    default:
        return refuse(CAIRN_CUDA_STATUS_FAILED, "%s: %s", what, cudaGetErrorString(error));
    }
}

cairn_cuda_status open_device(cairn_context *context, const cairn_cuda_options *options) {
    const int device = context->device;
    int major = 0;
    cudaError_t error = cudaSetDevice(device);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (error == cudaSuccess && major < LEAST_CAPABILITY)
        return refuse(CAIRN_CUDA_STATUS_INVALID_DEVICE,
                      "cuda:%d has compute capability %d, at least %d is needed", device, major,
                      LEAST_CAPABILITY);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&context->processors, cudaDevAttrMultiProcessorCount,
                                       device);
    if (error == cudaSuccess)
        error = cudaStreamCreateWithFlags(&context->stream, cudaStreamNonBlocking);
    size_t available = 0, total = 0;
    if (error == cudaSuccess) error = cudaMemGetInfo(&available, &total);
    if (error == cudaSuccess) error = context->staging.start();
    if (error == cudaSuccess) error = cudaMalloc((void **)&context->faults, sizeof(uint32_t));
    if (error == cudaSuccess)
        error = cudaMallocHost((void **)&context->faults_host, sizeof(uint32_t));
    if (error == cudaSuccess)
        error = cudaMemsetAsync(context->faults, 0, sizeof(uint32_t), context->stream);
    if (error != cudaSuccess) return refuse_error(error, "opening the device");
    *context->faults_host = FAULT_NONE;
    if (options->memory_budget > available)
        return refuse(CAIRN_CUDA_STATUS_OUT_OF_MEMORY,
                      "cuda:%d has %zu bytes free of %zu, fewer than the %zu that may be used",
                      device, available, total, options->memory_budget);
    context->budget = options->memory_budget > 0 ? options->memory_budget : available;
    if (!options->own_kernels) context->lt.start();
    return CAIRN_CUDA_STATUS_OK;
}

}  // namespace

cairn_status fail(cairn_context *context, cairn_status status, const char *format, ...) {
    if (context->failed == CAIRN_STATUS_OK) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(context->text, sizeof context->text, format, arguments);
        va_end(arguments);
        context->failed = status;
    }
    return status;
}

cairn_status check(cairn_context *context, cudaError_t error, const char *what) {
    if (error == cudaSuccess) return CAIRN_STATUS_OK;
    (void)cudaGetLastError();
    // What stays after being read comes back with every later call: a kernel that faulted.
    context->is_broken = context->is_broken || cudaPeekAtLastError() != cudaSuccess;
    return fail(context, CAIRN_STATUS_DEVICE_FAILED, "cuda:%d: %s: %s", context->device, what,
                cudaGetErrorString(error));
}

cairn_status launched(cairn_context *context, const char *operation) {
    const cairn_status status = check(context, cudaGetLastError(), operation);
    return status == CAIRN_STATUS_OK && context->is_broken ? context->failed : status;
}

}  // namespace cairn

int32_t cairn_cuda_abi_version(void) { return CAIRN_CUDA_ABI_VERSION; }

const char *cairn_cuda_error_text(void) { return cairn::error_text; }

cairn_cuda_status cairn_cuda_device_count(int32_t *count) {
    *count = 0;
    int found = 0;
    const cudaError_t error = cudaGetDeviceCount(&found);
    if (error != cudaSuccess) return cairn::refuse_error(error, "counting devices");
    if (found <= 0) return cairn::refuse_error(cudaErrorNoDevice, "counting devices");
    *count = found;
    return CAIRN_CUDA_STATUS_OK;
}

cairn_cuda_status cairn_cuda_open(int32_t device, const cairn_cuda_options *options,
                                  cairn_context **context) {
    *context = nullptr;
    int32_t count;
    const cairn_cuda_status counted = cairn_cuda_device_count(&count);
    if (counted != CAIRN_CUDA_STATUS_OK) return counted;
    if (device < 0 || device >= count)
        return cairn::refuse(CAIRN_CUDA_STATUS_INVALID_DEVICE,
                             "there is no cuda:%d; this machine has %d CUDA device%s", device,
                             count, count == 1 ? "" : "s");
    cairn_context *made = new (std::nothrow) cairn_context();
    if (!made) return cairn::refuse(CAIRN_CUDA_STATUS_OUT_OF_MEMORY, "the host has no memory left");
    made->device = device;
    const cairn_cuda_status status = cairn::open_device(made, options);
    if (status != CAIRN_CUDA_STATUS_OK) {
        cairn_cuda_close(made);
        return status;
    }
    *context = made;
    return CAIRN_CUDA_STATUS_OK;
}

void cairn_cuda_close(cairn_context *context) {
    (void)cudaSetDevice(context->device);
    if (context->stream) (void)cudaStreamSynchronize(context->stream);
    context->ranks.close(context->is_broken);
    context->lt.close();
    while (!context->sizes.empty()) cairn::give(context, context->sizes.begin()->first);
    if (context->faults) (void)cudaFree(context->faults);
    if (context->faults_host) (void)cudaFreeHost(context->faults_host);
    context->staging.close();
    if (context->stream) (void)cudaStreamDestroy(context->stream);
    delete context;
}
