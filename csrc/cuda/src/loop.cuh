// SPDX-License-Identifier: Apache-2.0
/// A loop over elements that all threads of a grid share.

#ifndef CAIRN_CUDA_LOOP_CUH
#define CAIRN_CUDA_LOOP_CUH

#include "context.h"

namespace cairn {

constexpr int LOOP_BLOCK = 256;

/// `for (Loop i(count); i; ++i)` visits i.at, i.at + threads of the grid, ...
struct Loop {
    size_t at, count, stride;

    __device__ __forceinline__ explicit Loop(size_t count)
        : at((size_t)blockIdx.x * blockDim.x + threadIdx.x), count(count),
          stride((size_t)gridDim.x * blockDim.x) {}
    __device__ __forceinline__ operator bool() const { return at < count; }
    __device__ __forceinline__ void operator++() { at += stride; }
};

inline dim3 loop_blocks(const cairn_context *context, size_t count) {
    return dim3(blocks_for(context, count, LOOP_BLOCK));
}

}  // namespace cairn

#endif
