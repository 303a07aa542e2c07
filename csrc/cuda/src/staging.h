// SPDX-License-Identifier: Apache-2.0
/// Pinned memory between host and device: a copy returns as soon as its bytes are in it.

#ifndef CAIRN_CUDA_STAGING_H
#define CAIRN_CUDA_STAGING_H

#include "platform.h"

namespace cairn {

/// Slots of pinned memory, filled in turn. A slot is written again only when the device has read it.
struct Staging {
    static constexpr size_t SLOTS = 4;
    static constexpr size_t SLOT_BYTES = 1 << 20;
    static constexpr size_t LINE = 64;

    char *memory;
    cudaEvent_t read[SLOTS];  ///< Recorded behind the last copy from each slot.
    size_t slot, used;        ///< The slot that is being filled, and its bytes in use.

    cudaError_t start();
    void close();

    /// Queues a copy of host bytes to the device.
    cudaError_t copy_in(void *device, const void *host, size_t bytes, cudaStream_t stream);

    /// Copies device bytes to the host and waits for them.
    cudaError_t copy_out(void *host, const void *device, size_t bytes, cudaStream_t stream);

private:
    cudaError_t next_slot(cudaStream_t stream);
};

}  // namespace cairn

#endif
