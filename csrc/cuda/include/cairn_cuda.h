// SPDX-License-Identifier: Apache-2.0
/// The CUDA engine's C interface: a device opened as a context, and its table of operations.
///
/// No CUDA type appears here. The library loads on machines without a driver and then says that
/// there is no device.

#ifndef CAIRN_CUDA_H
#define CAIRN_CUDA_H

#include "cairn_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)
#pragma clang assume_nonnull begin

/// Raised whenever a declaration of this header changes its meaning.
#define CAIRN_CUDA_ABI_VERSION 3

/// Outcome of the calls that open a device.
typedef enum CAIRN_CLOSED cairn_cuda_status : int32_t {
    CAIRN_CUDA_STATUS_OK CAIRN_AS("ok") = 0,
    /// No driver, one older than the library needs, or no GPU.
    CAIRN_CUDA_STATUS_NO_DEVICE CAIRN_AS("noDevice") = 1,
    /// A device number that this machine does not have.
    CAIRN_CUDA_STATUS_INVALID_DEVICE CAIRN_AS("invalidDevice") = 2,
    CAIRN_CUDA_STATUS_OUT_OF_MEMORY CAIRN_AS("outOfMemory") = 3,
    /// Anything else that the driver refuses.
    CAIRN_CUDA_STATUS_FAILED CAIRN_AS("failed") = 4,
    /// libnccl.so.2 is not on the loader's path, or lacks what is called of it.
    CAIRN_CUDA_STATUS_NO_NCCL CAIRN_AS("noNCCL") = 5,
} cairn_cuda_status;

/// How a device is opened. All zeros is what a training run wants.
typedef struct cairn_cuda_options {
    /// Bytes that the engine may allocate, which must be free at opening; 0: all that are.
    size_t memory_budget;
    bool own_kernels;      ///< Multiply with this library's kernels only, never with cuBLASLt.
} cairn_cuda_options;

/// What a device has and what its context uses, in bytes.
typedef struct cairn_cuda_memory {
    size_t budget;
    size_t used;
    size_t peak;  ///< The most that was used at once.
} cairn_cuda_memory;

/// The version that the library was built with, to be compared with CAIRN_CUDA_ABI_VERSION.
int32_t cairn_cuda_abi_version(void);

/// Why the last call of this thread failed, as a sentence; empty when none did.
const char *cairn_cuda_error_text(void);

/// The number of devices; 0 on any failure.
CAIRN_CHECKED cairn_cuda_status cairn_cuda_device_count(int32_t *count);

/// Opens a device. The context is that of `cairn_cuda_backend`'s entries and of no other.
CAIRN_CHECKED cairn_cuda_status cairn_cuda_open(int32_t device, const cairn_cuda_options *options,
                                                cairn_context *_Nullable *_Nonnull context);

/// Waits for the device and frees what the context holds; memory from `allocate` is released first.
void cairn_cuda_close(cairn_context *context);

/// Budget and use of an open device.
cairn_cuda_memory cairn_cuda_memory_of(const cairn_context *context);

/// The table of operations, or null unless it is `table_bytes` long: the size that the caller's
/// headers say.
const cairn_backend *_Nullable cairn_cuda_backend(size_t table_bytes);

/// By what the ranks of one run find each other; the first makes it, and all get its bytes.
typedef struct cairn_cuda_ranks_id {
    uint8_t bytes[128];
} cairn_cuda_ranks_id;

/// Device memory that goes to another rank or comes from it.
typedef struct cairn_cuda_parcel {
    void *memory;  ///< Of the context.
    size_t bytes;
    int32_t rank;  ///< The other one.
    bool arrives;
} cairn_cuda_parcel;

/// The version of the NCCL that the loader finds, as 22703 for 2.27.3.
///
/// - Fails: CAIRN_CUDA_STATUS_NO_NCCL where there is none; `cairn_cuda_error_text` says why.
CAIRN_CHECKED cairn_cuda_status cairn_cuda_nccl_version(int32_t *version);

/// Makes an id for ranks that join each other; it serves once.
CAIRN_CHECKED cairn_cuda_status cairn_cuda_make_ranks_id(cairn_cuda_ranks_id *id);

/// Makes a context rank `rank` of `size`, once; returns when all of them have called it. Each needs
/// a GPU of its own.
CAIRN_CHECKED cairn_cuda_status cairn_cuda_join(cairn_context *context,
                                                const cairn_cuda_ranks_id *id, int32_t rank,
                                                int32_t size);

/// Sends and receives all parcels at once, behind what the context was asked for before, and does
/// not wait. Every rank calls it; what two ranks send each other meets what they expect in the order
/// of the parcels, and must have its length.
CAIRN_CHECKED cairn_cuda_status cairn_cuda_exchange(cairn_context *context,
                                                    const cairn_cuda_parcel *parcels, size_t count);

#pragma clang assume_nonnull end
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
