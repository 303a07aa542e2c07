// SPDX-License-Identifier: Apache-2.0
/// The library's own matmul kernels: a block per tile of C, for either kind of tile.

#include "matmul_bf16.cuh"
#include "matmul_fp32.cuh"

namespace cairn {
inline namespace kernels {

__device__ __forceinline__ size_t first_row() { return (size_t)blockIdx.y * MATMUL_TILE; }
__device__ __forceinline__ size_t first_column() { return (size_t)blockIdx.x * MATMUL_TILE; }

template <class Tile>
__device__ __forceinline__ void multiply_product(const Product &p) {
    DYNAMIC_SHARED(float, shared);
    const size_t row = first_row(), column = first_column();
    Tile tile(shared);
    tile.each([](size_t, size_t, float &sum) { sum = 0; });
    tile.multiply(p.a, p.b, row, column, 0, p.k);
    if (p.k2 > 0) tile.multiply(p.a2, p.b2, row, column, 0, p.k2);
    tile.each([&](size_t i, size_t j, float &sum) { store_product(p, row + i, column + j, sum); });
}

/// Sums over the rows of each group, in order; see `cairn_matmul_gradient`.
template <class Tile>
__device__ __forceinline__ void multiply_groups(const Groups &groups, const Operand &dy,
                                                const Operand &x) {
    const cairn_gradient gradient = groups.gradient;
    DYNAMIC_SHARED(float, shared);
    const size_t row = first_row(), column = first_column();
    Tile tile(shared);
    for (size_t g = 0; g < groups.count; g++) {
        const bool resumed = groups.is_resumed(g), suspended = groups.is_suspended(g);
        tile.each([&](size_t i, size_t j, float &sum) {
            const bool inside = row + i < dy.lines && column + j < x.lines;
            sum = resumed && inside ? gradient.open[(row + i) * x.lines + column + j] : 0;
        });
        tile.multiply(dy, x, row, column, groups.rows[g], groups.rows[g + 1]);
        tile.each([&](size_t i, size_t j, float &sum) {
            const size_t at = (row + i) * x.lines + column + j;
            if (row + i >= dy.lines || column + j >= x.lines) return;
            if (suspended)
                gradient.open[at] = sum;
            else
                gradient.sum[at] += sum;
        });
    }
}

__global__ void __launch_bounds__(TileFP32::THREADS) matmul_fp32(Product p) {
    multiply_product<TileFP32>(p);
}

__global__ void __launch_bounds__(TileBF16::THREADS) matmul_bf16(Product p) {
    multiply_product<TileBF16>(p);
}

// One block to a processor at least: for more of them ptxas would rather spill.
__global__ void __launch_bounds__(TileFP32::THREADS, 1)
gradient_fp32(Groups groups, Operand dy, Operand x) {
    multiply_groups<TileFP32>(groups, dy, x);
}

__global__ void __launch_bounds__(TileBF16::THREADS)
gradient_bf16(Groups groups, Operand dy, Operand x) {
    multiply_groups<TileBF16>(groups, dy, x);
}

dim3 blocks(size_t m, size_t n) {
    return dim3((unsigned)((n + MATMUL_TILE - 1) / MATMUL_TILE),
                (unsigned)((m + MATMUL_TILE - 1) / MATMUL_TILE));
}

}  // namespace kernels

void launch_product(cairn_context *context, const Product &p, cairn_precision precision) {
    const dim3 grid = blocks(p.a.lines, p.b.lines);
    if (precision == CAIRN_PRECISION_BF16)
        LAUNCH(matmul_bf16, grid, dim3(TileBF16::THREADS), TileBF16::SHARED_BYTES, context->stream,
               p);
    else
        LAUNCH(matmul_fp32, grid, dim3(TileFP32::THREADS), TileFP32::SHARED_BYTES, context->stream,
               p);
}

void launch_gradient(cairn_context *context, const Groups &groups, const Operand &dy,
                     const Operand &x, cairn_precision precision) {
    const dim3 grid = blocks(dy.lines, x.lines);
    if (precision == CAIRN_PRECISION_BF16)
        LAUNCH(gradient_bf16, grid, dim3(TileBF16::THREADS), TileBF16::SHARED_BYTES,
               context->stream, groups, dy, x);
    else
        LAUNCH(gradient_fp32, grid, dim3(TileFP32::THREADS), TileFP32::SHARED_BYTES,
               context->stream, groups, dy, x);
}

}  // namespace cairn
