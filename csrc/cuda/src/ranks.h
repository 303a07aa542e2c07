// SPDX-License-Identifier: Apache-2.0
/// NCCL, opened when ranks ask for it: the library needs nothing of NVIDIA's to load.

#ifndef CAIRN_CUDA_RANKS_H
#define CAIRN_CUDA_RANKS_H

#include <nccl.h>

#include "platform.h"

namespace cairn {

/// What is called of NCCL. It only moves bytes: sums are this engine's, in an order of their own.
#define CAIRN_NCCL_FUNCTIONS(X) \
    X(ncclGetVersion) X(ncclGetUniqueId) X(ncclCommInitRank) X(ncclCommDestroy) X(ncclCommAbort) \
    X(ncclGetErrorString) X(ncclGroupStart) X(ncclGroupEnd) X(ncclSend) X(ncclRecv)

/// A context's place among the ranks.
struct Communicator {
    ncclComm_t handle;  ///< Null while it has none.
    int rank, size;

    /// Leaves the others; at once when the device is broken, as they cannot be waited for then.
    void close(bool is_broken);
};

}  // namespace cairn

#endif
