// SPDX-License-Identifier: Apache-2.0
/// The fp32 tile: each element one chain of fused multiply-adds, k ascending, as on the CPU.

#ifndef CAIRN_CUDA_MATMUL_FP32_CUH
#define CAIRN_CUDA_MATMUL_FP32_CUH

#include "matmul.cuh"

namespace cairn {

/// A block of 256 threads, each with 4 x 4 elements of a tile of 64 x 64.
struct TileFP32 {
    static constexpr int THREADS = 256;
    static constexpr int SIDE = 4;
    static constexpr int DEPTH = 16;
    static constexpr int PITCH = MATMUL_TILE + 4;  // Whole vectors, other banks for other k.
    static constexpr size_t SHARED_BYTES = 2 * DEPTH * PITCH * sizeof(float);

    float *a, *b;
    float sums[SIDE][SIDE];

    __device__ __forceinline__ explicit TileFP32(float *shared)
        : a(shared), b(shared + DEPTH * PITCH) {}

    __device__ __forceinline__ static size_t row(int i) {
        return threadIdx.x / (MATMUL_TILE / SIDE) * SIDE + i;
    }
    __device__ __forceinline__ static size_t column(int j) {
        return threadIdx.x % (MATMUL_TILE / SIDE) * SIDE + j;
    }

    /// tile[k, line] from lines first ... and k begin ...; neighbours in memory go to neighbours.
    __device__ __forceinline__ static void load(float *tile, const Operand &x, size_t first,
                                                size_t begin, size_t end) {
        for (int e = threadIdx.x; e < MATMUL_TILE * DEPTH; e += THREADS) {
            const bool along_k = x.k_stride == 1;
            const int line = along_k ? e / DEPTH : e % MATMUL_TILE;
            const int k = along_k ? e % DEPTH : e / MATMUL_TILE;
            tile[k * PITCH + line] = element(x, first + line, begin + k, end);
        }
    }

    /// Adds the products of k in begin ..< end.
    __device__ __forceinline__ void multiply(const Operand &x, const Operand &y, size_t first_row,
                                             size_t first_column, size_t begin, size_t end) {
        for (size_t k0 = begin; k0 < end; k0 += DEPTH) {
            __syncthreads();  // SYNC:fp32-reuse
            load(a, x, first_row, k0, end);
            load(b, y, first_column, k0, end);
            __syncthreads();  // SYNC:fp32-loaded
            // What lies behind the end must not add zeros: fma(0, 0, -0) is not -0.
            const int depth = end - k0 < DEPTH ? (int)(end - k0) : DEPTH;
            for (int k = 0; k < depth; k++) {
                float u[SIDE], w[SIDE];
#pragma unroll
                for (int i = 0; i < SIDE; i++) {
                    u[i] = a[k * PITCH + row(i)];
                    w[i] = b[k * PITCH + column(i)];
                }
#pragma unroll
                for (int i = 0; i < SIDE; i++)
#pragma unroll
                    for (int j = 0; j < SIDE; j++) sums[i][j] = fmaf(u[i], w[j], sums[i][j]);
            }
        }
    }

    /// Calls `body` with each of this thread's elements: row and column in the tile, and its sum.
    template <class Body>
    __device__ __forceinline__ void each(Body body) {
#pragma unroll
        for (int i = 0; i < SIDE; i++)
#pragma unroll
            for (int j = 0; j < SIDE; j++) body(row(i), column(j), sums[i][j]);
    }
};

}  // namespace cairn

#endif
