// SPDX-License-Identifier: Apache-2.0
/// The gradient of a weight, group by group (cairn_matmul.h).

#include "lt_operand.cuh"
#include "matmul.cuh"

namespace cairn {
namespace {

/// A matrix of rows [rows, lines] whose columns are the lines of a product along the rows.
Operand columns_of(const float *rows, size_t lines) {
    Operand result = {};
    result.data = rows;
    result.line_stride = 1;
    result.k_stride = lines;
    result.lines = lines;
    result.dtype = CAIRN_DTYPE_F32;
    return result;
}

/// Rows begin ... of an operand that was prepared whole.
LtMatrix rows_from(const LtMatrix &whole, size_t begin, size_t count) {
    LtMatrix part = whole;
    const size_t size = whole.type == CUDA_R_16BF ? 2 : 4;
    part.data = (const char *)whole.data + begin * whole.stride * size;
    part.rows = count;
    return part;
}

/// One group by cuBLASLt: its sum comes to `open` while it is cut, and is added to `sum` at its end.
bool group_by_lt(cairn_context *context, const Groups &group, const LtMatrix &dy,
                 const LtMatrix &x) {
    const size_t rows = group.rows[1] - group.rows[0];
    if (dy.columns * x.columns * rows < LEAST_FOR_LT) return false;
    LtProduct p = {};
    p.m = dy.columns;
    p.n = x.columns;
    p.k = rows;
    p.a = rows_from(dy, group.rows[0], rows);
    p.a.transposed = true;
    p.b = rows_from(x, group.rows[0], rows);
    p.scale = 1;
    p.keep = group.suspends && !group.resumes ? 0 : 1;
    p.c = group.resumes || group.suspends ? group.gradient.open : group.gradient.sum;
    p.c_stride = x.columns;
    if (!context->lt.multiply(p, context->stream)) return false;
    float *sum = group.gradient.sum;
    if (group.resumes && !group.suspends)
        (void)add_on_device(context, dy.columns * x.columns, sum, 1, p.c, sum);
    return true;
}

/// True when cuBLASLt is there and the whole sum is worth its start.
bool use_lt(const cairn_context *context, size_t rows, size_t out, size_t in) {
    return context->lt.handle && rows * out * in >= LEAST_FOR_LT;
}

}  // namespace

cairn_status matmul_gradient_on_device(cairn_context *context, cairn_precision precision,
                                       const cairn_partition *partition, size_t out, size_t in,
                                       const float *dy, const float *x, cairn_gradient gradient) {
    if (out == 0 || in == 0 || partition->group_count == 0) return CAIRN_STATUS_OK;
    if (!is_valid(partition)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const Operand left = columns_of(dy, out), right = columns_of(x, in);
    const size_t rows = partition->offsets[partition->sequence_count];
    const cairn_matrix dy_rows = {dy, CAIRN_DTYPE_F32, out, false};
    const cairn_matrix x_rows = {x, CAIRN_DTYPE_F32, in, false};
    const size_t bytes = converted_bytes(dy_rows, rows, out, precision)
                         + converted_bytes(x_rows, rows, in, precision);
    const bool by_lt = use_lt(context, rows, out, in);
    char *memory = by_lt && bytes > 0 ? (char *)scratch(context, bytes) : nullptr;
    if (by_lt && (bytes == 0 || memory)) {
        const LtMatrix a = lt_operand(context, dy_rows, rows, out, precision, &memory);
        const LtMatrix b = lt_operand(context, x_rows, rows, in, precision, &memory);
        for (size_t g = 0; g < partition->group_count; g++) {
            const Groups group = group_of(partition, g, gradient);
            if (!group_by_lt(context, group, a, b))
                launch_gradient(context, group, left, right, precision);
        }
    } else {
        for (size_t g = 0; g < partition->group_count; g += GROUPS)
            launch_gradient(context, groups_from(partition, g, gradient), left, right, precision);
    }
    return launched(context, "matmul_gradient");
}

}  // namespace cairn
