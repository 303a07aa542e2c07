// SPDX-License-Identifier: Apache-2.0
/// Sums and maxima over the threads of a row, in fixed trees: the same bits in every run.

#ifndef CAIRN_CUDA_REDUCE_CUH
#define CAIRN_CUDA_REDUCE_CUH

#include "math.cuh"

namespace cairn {

constexpr unsigned ALL_LANES = 0xffffffffu;
constexpr int WARP = 32;

/// Threads of a block of a row kernel. A row has all of them, or one warp.
constexpr int ROW_BLOCK = 256;

/// Rows up to this width are a warp's, eight to a block.
constexpr size_t WARP_WIDTH = 512;

struct Add {
    __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

/// The larger of two; b when a is NaN, which the sums that follow then show.
struct Larger {
    __device__ __forceinline__ float operator()(float a, float b) const { return a > b ? a : b; }
};

template <class Operation>
__device__ __forceinline__ float over_warp(float value, Operation operation) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = operation(value, __shfl_xor_sync(ALL_LANES, value, distance));
    return value;
}

/// Combines the values of a row's threads; every one of them gets the result.
template <int THREADS, class Operation>
__device__ __forceinline__ float over_row(float value, Operation operation) {
    value = over_warp(value, operation);
    if constexpr (THREADS > WARP) {
        __shared__ float parts[THREADS / WARP];
        if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
        __syncthreads();  // SYNC:row-publish
        value = parts[threadIdx.x % (THREADS / WARP)];
#pragma unroll
        for (int distance = THREADS / WARP / 2; distance > 0; distance /= 2)
            value = operation(value, __shfl_xor_sync(ALL_LANES, value, distance));
        __syncthreads();  // SYNC:row-reuse
    }
    return value;
}

/// What a thread of a row kernel works on: elements `first`, `first + THREADS`, ... of a row.
template <int THREADS>
struct RowPlace {
    size_t row, first;

    __device__ __forceinline__ RowPlace()
        : row((size_t)blockIdx.x * (ROW_BLOCK / THREADS) + threadIdx.x / THREADS),
          first(threadIdx.x % THREADS) {}
};

/// Blocks of a row kernel.
inline unsigned row_blocks(size_t rows, bool by_warps) {
    constexpr size_t rows_per_block = ROW_BLOCK / WARP;
    return (unsigned)(by_warps ? (rows + rows_per_block - 1) / rows_per_block : rows);
}

}  // namespace cairn

/// Launches a row kernel, a template over the threads per row, for at least one row.
#define LAUNCH_ROWS(kernel, context, rows, width, ...) \
    ((width) <= ::cairn::WARP_WIDTH \
         ? LAUNCH_ROWS_OF(kernel<::cairn::WARP>, true, context, rows, __VA_ARGS__) \
         : LAUNCH_ROWS_OF(kernel<::cairn::ROW_BLOCK>, false, context, rows, __VA_ARGS__))
#define LAUNCH_ROWS_OF(kernel, by_warps, context, rows, ...) \
    LAUNCH((kernel), dim3(::cairn::row_blocks(rows, by_warps)), dim3(::cairn::ROW_BLOCK), 0, \
           (context)->stream, __VA_ARGS__)

#endif
