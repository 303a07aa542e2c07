// SPDX-License-Identifier: Apache-2.0
/// CUDA's headers, the engine's seam, and the two spellings that nvcc and the simulator differ in.

#ifndef CAIRN_CUDA_PLATFORM_H
#define CAIRN_CUDA_PLATFORM_H

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "cairn_cuda.h"

// Kernels stand in `inline namespace kernels` and not in an unnamed one: the tests replace them by
// name with what nvcc made of them.

#ifdef __CUDACC__
/// A launch on a stream of ours, never on the default one.
#define LAUNCH(kernel, grid, block, shared, stream, ...) \
    kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
/// Shared memory whose size the launch says.
#define DYNAMIC_SHARED(type, name) \
    extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[]; \
    type *name = reinterpret_cast<type *>(dynamic_shared_bytes)
#else
#define LAUNCH(kernel, grid, block, shared, stream, ...) \
    ::cusim::launch(#kernel, (grid), (block), (shared), (stream), kernel, __VA_ARGS__)
#define DYNAMIC_SHARED(type, name) \
    type *name = reinterpret_cast<type *>(::cusim::dynamic_shared())
#endif

#endif
