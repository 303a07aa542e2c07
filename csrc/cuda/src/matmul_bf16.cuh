// SPDX-License-Identifier: Apache-2.0
/// The bf16 tile: operands rounded to nearest even on their way to shared memory, multiplied by
/// the tensor cores, summed in fp32.

#ifndef CAIRN_CUDA_MATMUL_BF16_CUH
#define CAIRN_CUDA_MATMUL_BF16_CUH

#include "matmul.cuh"

namespace cairn {

/// d += a b for one tile of 16 x 8 x 16 per warp; the fragments of the PTX instruction.
__device__ __forceinline__ void multiply_fragments(float (&d)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&b)[2]) {
#ifdef __CUDACC__
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    ::cusim::mma_m16n8k16_bf16(d, a, b, d);
#endif
}

/// A block of four warps; each has a quarter of the tile of 64 x 64, 2 x 4 fragments of 16 x 8.
struct TileBF16 {
    static constexpr int THREADS = 128;
    static constexpr int DEPTH = 32;
    static constexpr int WORDS = DEPTH / 2;   // Of two numbers each.
    static constexpr int PITCH = WORDS + 4;   // 20 g + t: a warp's words lie in different banks.
    static constexpr int SIDE = MATMUL_TILE / 2;
    static constexpr size_t SHARED_BYTES = 2 * MATMUL_TILE * PITCH * sizeof(uint32_t);

    uint32_t *a, *b;
    float sums[2][4][4];

    __device__ __forceinline__ explicit TileBF16(float *shared)
        : a(reinterpret_cast<uint32_t *>(shared)), b(a + MATMUL_TILE * PITCH) {}

    __device__ __forceinline__ static int warp_row() { return threadIdx.x / 64 * SIDE; }
    __device__ __forceinline__ static int warp_column() { return threadIdx.x / 32 % 2 * SIDE; }
    __device__ __forceinline__ static int group() { return threadIdx.x % 32 / 4; }
    __device__ __forceinline__ static int place() { return threadIdx.x % 4; }

    __device__ __forceinline__ static uint32_t round(float x) {
        return __bfloat16_as_ushort(__float2bfloat16_rn(x));
    }

    __device__ __forceinline__ static void load(uint32_t *tile, const Operand &x, size_t first,
                                                size_t begin, size_t end) {
        for (int e = threadIdx.x; e < MATMUL_TILE * WORDS; e += THREADS) {
            const bool along_k = x.k_stride == 1;
            const int line = along_k ? e / WORDS : e % MATMUL_TILE;
            const int word = along_k ? e % WORDS : e / MATMUL_TILE;
            const size_t k = begin + 2 * word;
            tile[line * PITCH + word] = round(element(x, first + line, k, end))
                                        | round(element(x, first + line, k + 1, end)) << 16;
        }
    }

    /// Adds the products of k in begin ..< end.
    __device__ __forceinline__ void multiply(const Operand &x, const Operand &y, size_t first_row,
                                             size_t first_column, size_t begin, size_t end) {
        for (size_t k0 = begin; k0 < end; k0 += DEPTH) {
            __syncthreads();  // SYNC:bf16-reuse
            load(a, x, first_row, k0, end);
            load(b, y, first_column, k0, end);
            __syncthreads();  // SYNC:bf16-loaded
#pragma unroll
            for (int word = 0; word < WORDS; word += 8) {
                uint32_t rows[2][4];
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const uint32_t *from =
                        a + (warp_row() + 16 * i + group()) * PITCH + word + place();
                    rows[i][0] = from[0];
                    rows[i][1] = from[8 * PITCH];
                    rows[i][2] = from[4];
                    rows[i][3] = from[8 * PITCH + 4];
                }
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const uint32_t *from =
                        b + (warp_column() + 8 * j + group()) * PITCH + word + place();
                    const uint32_t columns[2] = {from[0], from[4]};
#pragma unroll
                    for (int i = 0; i < 2; i++) multiply_fragments(sums[i][j], rows[i], columns);
                }
            }
        }
    }

    /// Calls `body` with each of this thread's elements: row and column in the tile, and its sum.
    template <class Body>
    __device__ __forceinline__ void each(Body body) {
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    body((size_t)(warp_row() + 16 * i + group() + e / 2 * 8),
                         (size_t)(warp_column() + 8 * j + 2 * place() + e % 2), sums[i][j][e]);
    }
};

}  // namespace cairn

#endif
