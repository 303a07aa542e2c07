// SPDX-License-Identifier: Apache-2.0
/// Operands in the form that cuBLASLt multiplies: both in one type.

#ifndef CAIRN_CUDA_LT_OPERAND_CUH
#define CAIRN_CUDA_LT_OPERAND_CUH

#include "loop.cuh"
#include "math.cuh"

namespace cairn {

/// Below this many multiply-adds cuBLASLt's start costs more than it brings.
constexpr size_t LEAST_FOR_LT = (size_t)1 << 18;

/// Elements from row to row of a converted operand: whole vectors of any type.
inline size_t converted_stride(size_t columns) { return (columns + 7) / 8 * 8; }

/// A stored matrix in another type, row by row; columns behind the last are not written.
template <class To>
__global__ void __launch_bounds__(LOOP_BLOCK)
convert(size_t count, size_t columns, const void *source, int dtype, size_t stride, To *result,
        size_t result_stride) {
    for (Loop i(count); i; ++i) {
        const size_t row = i.at / columns, column = i.at % columns;
        const float value = load_weight(source, dtype, row * stride + column);
        if constexpr (sizeof(To) == 2)
            result[row * result_stride + column] = __float2bfloat16_rn(value);
        else
            result[row * result_stride + column] = value;
    }
}

inline bool is_ready(const cairn_matrix &x, cairn_precision precision) {
    return x.dtype
           == (precision == CAIRN_PRECISION_BF16 ? CAIRN_DTYPE_BF16 : CAIRN_DTYPE_F32);
}

/// Bytes of scratch memory that a converted operand takes.
inline size_t converted_bytes(const cairn_matrix &x, size_t rows, size_t columns,
                       cairn_precision precision) {
    if (is_ready(x, precision)) return 0;
    const size_t size = precision == CAIRN_PRECISION_BF16 ? 2 : 4;
    return (rows * converted_stride(columns) * size + 255) / 256 * 256;
}

/// An operand [lines, k] as cuBLASLt takes it, converted to `*memory` where it has to be.
inline LtMatrix lt_operand(cairn_context *context, const cairn_matrix &x, size_t rows, size_t columns,
                    cairn_precision precision, char **memory) {
    const bool rounds = precision == CAIRN_PRECISION_BF16;
    const size_t stored_rows = x.transposed ? columns : rows;
    const size_t stored_columns = x.transposed ? rows : columns;
    LtMatrix result = {x.data, rounds ? CUDA_R_16BF : CUDA_R_32F, stored_rows, stored_columns,
                       x.stride, x.transposed};
    if (is_ready(x, precision)) return result;
    const size_t count = stored_rows * stored_columns;
    result.data = *memory;
    result.stride = converted_stride(stored_columns);
    if (rounds)
        LAUNCH((convert<__nv_bfloat16>), loop_blocks(context, count), dim3(LOOP_BLOCK), 0,
               context->stream, count, stored_columns, x.data, x.dtype, x.stride,
               (__nv_bfloat16 *)*memory, result.stride);
    else
        LAUNCH((convert<float>), loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
               count, stored_columns, x.data, x.dtype, x.stride, (float *)*memory, result.stride);
    *memory += converted_bytes(x, stored_rows, stored_columns, precision);
    return result;
}

}  // namespace cairn

#endif
