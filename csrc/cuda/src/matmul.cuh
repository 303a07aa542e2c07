// SPDX-License-Identifier: Apache-2.0
/// What the matmul kernels share: operands, tiles of them, the end of a product.

#ifndef CAIRN_CUDA_MATMUL_CUH
#define CAIRN_CUDA_MATMUL_CUH

#include "groups.cuh"
#include "math.cuh"

namespace cairn {

/// Rows and columns of C that a block computes.
constexpr int MATMUL_TILE = 64;

/// One side of a product: a line is a row of A or a column of B, `k` runs along it.
struct Operand {
    const void *data;
    size_t line_stride, k_stride;  ///< One of them is 1.
    size_t lines;
    int dtype;
};

/// A product, or two products summed in one chain; the second one's k is 0 without it.
struct Product {
    Operand a, b, a2, b2;
    size_t k, k2;
    const float *bias;
    float *c;
    size_t c_stride;
    float scale;
    bool accumulate;
};

/// Element k of a line, 0 outside of the matrix.
__device__ __forceinline__ float element(const Operand &x, size_t line, size_t k, size_t end) {
    return line < x.lines && k < end
               ? load_weight(x.data, x.dtype, line * x.line_stride + k * x.k_stride)
               : 0;
}

/// C <- [C +] scale sum + bias, each step rounded.
__device__ __forceinline__ void store_product(const Product &p, size_t i, size_t j, float sum) {
    if (i >= p.a.lines || j >= p.b.lines) return;
    float *c = p.c + i * p.c_stride + j;
    if (p.scale != 1) sum = sum * p.scale;
    if (p.bias) sum = sum + p.bias[j];
    if (p.accumulate) sum = sum + *c;
    *c = sum;
}

/// This library's kernels: fp32 operands, or operands rounded to bf16 on the tensor cores.
void launch_product(cairn_context *context, const Product &product, cairn_precision precision);
void launch_gradient(cairn_context *context, const Groups &groups, const Operand &dy,
                     const Operand &x, cairn_precision precision);

}  // namespace cairn

#endif
