// SPDX-License-Identifier: Apache-2.0
/// Memory and copies: the first entries of the table.

#include <stdio.h>
#include <string.h>

#include "context.h"

namespace cairn {

void *take(cairn_context *context, size_t bytes) {
    const size_t left = context->budget - context->used;
    if (bytes > left) {
        fail(context, CAIRN_STATUS_OUT_OF_MEMORY,
             "cuda:%d needs %zu bytes and has %zu left of its budget of %zu", context->device,
             bytes, left, context->budget);
        return nullptr;
    }
    void *memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        size_t available = 0, total = 0;
        (void)cudaMemGetInfo(&available, &total);
        fail(context, CAIRN_STATUS_OUT_OF_MEMORY,
             "cuda:%d needs %zu bytes and has %zu free of %zu", context->device, bytes, available,
             total);
        return nullptr;
    }
    if (check(context, error, "cudaMalloc") != CAIRN_STATUS_OK) return nullptr;
    context->sizes[memory] = bytes;
    context->used += bytes;
    if (context->used > context->peak) context->peak = context->used;
    return memory;
}

void give(cairn_context *context, void *memory) {
    const auto place = context->sizes.find(memory);
    if (place == context->sizes.end()) return;
    context->used -= place->second;
    context->sizes.erase(place);
    (void)check(context, cudaFree(memory), "cudaFree");
}

void *scratch(cairn_context *context, size_t bytes) {
    if (bytes > context->scratch_bytes) {
        if (context->scratch) give(context, context->scratch);
        context->scratch_bytes = 0;
        context->scratch = take(context, bytes);
        if (context->scratch) context->scratch_bytes = bytes;
    }
    return context->scratch;
}

void *allocate_on_device(cairn_context *context, size_t bytes) {
    return take(context, bytes);
}

void release_on_device(cairn_context *context, void *memory) {
    if (memory) give(context, memory);
}

void zero_on_device(cairn_context *context, void *memory, size_t bytes) {
    if (bytes == 0) return;
    (void)check(context, cudaMemsetAsync(memory, 0, bytes, context->stream), "zero");
}

void copy_in_on_device(cairn_context *context, void *device, const void *host, size_t bytes) {
    if (bytes == 0) return;
    (void)check(context, context->staging.copy_in(device, host, bytes, context->stream),
                "copy_in");
}

/// Turns what kernels found in their data into the failure that `finish` reports.
static void collect_faults(cairn_context *context) {
    static const char *const sentences[] = {
        "", "an id of an embedding is outside of its table",
        "an index of a row is outside of its matrix",
        "a target of the cross-entropy is neither a class nor ignored"};
    const uint32_t fault = *context->faults_host;
    if (fault == FAULT_NONE) return;
    *context->faults_host = FAULT_NONE;
    (void)cudaMemsetAsync(context->faults, 0, sizeof fault, context->stream);
    fail(context, CAIRN_STATUS_INVALID_ARGUMENT, "cuda:%d: %s", context->device,
         sentences[fault]);
}

/// Queues a copy of the faults to the host; whoever waits next may read them.
static cudaError_t fetch_faults(cairn_context *context) {
    return cudaMemcpyAsync(context->faults_host, context->faults, sizeof *context->faults,
                           cudaMemcpyDeviceToHost, context->stream);
}

void copy_out_on_device(cairn_context *context, void *host, const void *device, size_t bytes) {
    if (bytes == 0) return;
    cudaError_t error = fetch_faults(context);
    if (error == cudaSuccess)
        error = context->staging.copy_out(host, device, bytes, context->stream);
    if (check(context, error, "copy_out") == CAIRN_STATUS_OK)
        collect_faults(context);
    else
        memset(host, 0xff, bytes);
}

cairn_status finish_on_device(cairn_context *context) {
    cudaError_t error = fetch_faults(context);
    if (error == cudaSuccess) error = cudaStreamSynchronize(context->stream);
    if (check(context, error, "finish") == CAIRN_STATUS_OK) collect_faults(context);
    const cairn_status status = context->failed;
    if (!context->is_broken) context->failed = CAIRN_STATUS_OK;
    return status;
}

const char *failure_on_device(const cairn_context *context) { return context->text; }

}  // namespace cairn

cairn_cuda_memory cairn_cuda_memory_of(const cairn_context *context) {
    cairn_cuda_memory memory;
    memory.budget = context->budget;
    memory.used = context->used;
    memory.peak = context->peak;
    return memory;
}
