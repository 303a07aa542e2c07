// SPDX-License-Identifier: Apache-2.0
/// Copies through pinned memory.

#include "staging.h"

#include <string.h>

namespace cairn {

cudaError_t Staging::start() {
    cudaError_t error = cudaMallocHost((void **)&memory, SLOTS * SLOT_BYTES);
    for (size_t i = 0; i < SLOTS && error == cudaSuccess; i++)
        error = cudaEventCreateWithFlags(&read[i], cudaEventDisableTiming);
    return error;
}

void Staging::close() {
    for (cudaEvent_t event : read)
        if (event) (void)cudaEventDestroy(event);
    if (memory) (void)cudaFreeHost(memory);
}

cudaError_t Staging::next_slot(cudaStream_t stream) {
    const cudaError_t error = cudaEventRecord(read[slot], stream);
    if (error != cudaSuccess) return error;
    slot = (slot + 1) % SLOTS;
    used = 0;
    return cudaEventSynchronize(read[slot]);
}

cudaError_t Staging::copy_in(void *device, const void *host, size_t bytes, cudaStream_t stream) {
    for (size_t done = 0; done < bytes;) {
        if (used == SLOT_BYTES) {
            const cudaError_t error = next_slot(stream);
            if (error != cudaSuccess) return error;
        }
        const size_t room = SLOT_BYTES - used, left = bytes - done;
        const size_t part = left < room ? left : room;
        char *staged = memory + slot * SLOT_BYTES + used;
        memcpy(staged, (const char *)host + done, part);
        const cudaError_t error = cudaMemcpyAsync((char *)device + done, staged, part,
                                                  cudaMemcpyHostToDevice, stream);
        if (error != cudaSuccess) return error;
        done += part;
        used += (part + LINE - 1) / LINE * LINE;
    }
    return cudaSuccess;
}

cudaError_t Staging::copy_out(void *host, const void *device, size_t bytes, cudaStream_t stream) {
    // Everything queued is waited for anyway, so all slots are free afterwards.
    cudaError_t error = cudaStreamSynchronize(stream);
    for (size_t done = 0; done < bytes && error == cudaSuccess;) {
        const size_t left = bytes - done, most = SLOTS * SLOT_BYTES;
        const size_t part = left < most ? left : most;
        error = cudaMemcpyAsync(memory, (const char *)device + done, part, cudaMemcpyDeviceToHost,
                                stream);
        if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
        if (error == cudaSuccess) memcpy((char *)host + done, memory, part);
        done += part;
    }
    slot = used = 0;
    return error;
}

}  // namespace cairn
