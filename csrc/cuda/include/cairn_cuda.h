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
#define CAIRN_CUDA_ABI_VERSION 1

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
} cairn_cuda_status;

/// How a device is opened. All zeros is what a training run wants.
typedef struct cairn_cuda_options {
    size_t memory_budget;  ///< Bytes that the engine may allocate; 0: what is free at opening.
    bool own_kernels;      ///< Multiply with this library's kernels only, never with cuBLASLt.
} cairn_cuda_options;

/// What a device has and what its context uses, in bytes.
typedef struct cairn_cuda_memory {
    size_t budget;
    size_t used;
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

#pragma clang assume_nonnull end
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
