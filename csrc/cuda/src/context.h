// SPDX-License-Identifier: Apache-2.0
/// An open device: its stream, its memory, what it failed at. Host code only.

#ifndef CAIRN_CUDA_CONTEXT_H
#define CAIRN_CUDA_CONTEXT_H

#include <unordered_map>

#include "lt.h"
#include "operations.h"
#include "ranks.h"
#include "staging.h"
#include "uploads.h"

/// The CUDA engine's context. It shares nothing but its name with that of the CPU's library.
struct cairn_context {
    int device;
    int processors;  ///< Streaming multiprocessors.
    cudaStream_t stream;
    size_t budget, used, peak;
    std::unordered_map<void *, size_t> sizes;  ///< Of everything that `allocate` gave out.
    cairn::Staging staging;
    cairn::Uploads uploads;
    cairn::Lt lt;
    cairn::Communicator ranks;
    void *scratch;
    size_t scratch_bytes;
    uint32_t *faults;       ///< On the device: 0, or the largest `Fault` that a kernel met.
    uint32_t *faults_host;  ///< Its copy in pinned memory.
    cairn_status failed;    ///< The first failure that `finish` has not reported yet.
    char text[256];         ///< Why.
    bool is_broken;         ///< The driver reported an error that ends this context.
};

namespace cairn {

/// What a kernel found in its data and cannot return.
enum Fault : uint32_t {
    FAULT_NONE,
    FAULT_EMBEDDING_ID,
    FAULT_ROW_INDEX,
    FAULT_TARGET,
};

/// Notes for `cairn_cuda_error_text` why a call outside of the table failed, and returns `status`.
__attribute__((format(printf, 2, 3))) cairn_cuda_status refuse(cairn_cuda_status status,
                                                               const char *format, ...);

/// Notes why the context failed and returns `status`.
__attribute__((format(printf, 3, 4))) cairn_status fail(cairn_context *context,
                                                        cairn_status status, const char *format,
                                                        ...);

/// Says that weights in 8 and 4 bits are not for this engine.
cairn_status refuse_quantized(cairn_context *context);

/// Turns an answer of the runtime into a status; `what` names the call.
cairn_status check(cairn_context *context, cudaError_t error, const char *what);

/// What the launches of `operation` have to report.
cairn_status launched(cairn_context *context, const char *operation);

/// Device memory of the context, valid until the next operation; null when it cannot grow, which
/// `failure` then explains. Work in order on one stream makes reuse safe.
void *scratch(cairn_context *context, size_t bytes);

/// Device memory with the same contents as `count` numbers of the host, valid for this operation;
/// null when there is none. What was uploaded lately is not copied again.
const uint32_t *upload(cairn_context *context, const uint32_t *numbers, size_t count);

/// Memory against the budget; null with a text that names need and have.
void *take(cairn_context *context, size_t bytes);
void give(cairn_context *context, void *memory);

/// Blocks of `block` threads for `count` elements in a loop over the grid.
inline unsigned blocks_for(const cairn_context *context, size_t count, unsigned block) {
    const size_t needed = (count + block - 1) / block, most = (size_t)context->processors * 16;
    return (unsigned)(needed < most ? needed : most);
}

inline bool multiply_overflows(size_t a, size_t b) {
    size_t product;
    return __builtin_mul_overflow(a, b, &product);
}

inline bool is_weight_type(cairn_dtype dtype) {
    return dtype >= CAIRN_DTYPE_F32 && dtype <= CAIRN_DTYPE_F16;
}

}  // namespace cairn

#endif
