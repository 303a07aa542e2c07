// SPDX-License-Identifier: Apache-2.0
/// Matrix products: who multiplies, and in which form the operands come (cairn_matmul.h).

#include "matmul.cuh"

#include "lt_operand.cuh"

namespace cairn {
namespace {

/// An operand as this library's kernels take it; `lines` are rows of A or columns of B.
Operand operand(const cairn_matrix &x, size_t lines, bool lines_are_rows) {
    const bool along_k = lines_are_rows != x.transposed;
    Operand result = {};
    result.data = x.data;
    result.line_stride = along_k ? x.stride : 1;
    result.k_stride = along_k ? 1 : x.stride;
    result.lines = lines;
    result.dtype = x.dtype;
    return result;
}

/// A call of the table, for either multiplier.
struct Call {
    const cairn_matmul_config *config;
    size_t m, n, k, k2;
    const cairn_matrix *a, *b, *a2, *b2;
    const float *bias;
    float *c;
    size_t c_stride;
};

void multiply_here(cairn_context *context, const Call &call) {
    Product p = {};
    p.a = operand(*call.a, call.m, true);
    p.b = operand(*call.b, call.n, false);
    if (call.k2 > 0) {
        p.a2 = operand(*call.a2, call.m, true);
        p.b2 = operand(*call.b2, call.n, false);
    }
    p.k = call.k;
    p.k2 = call.k2;
    p.bias = call.bias;
    p.c = call.c;
    p.c_stride = call.c_stride;
    p.scale = call.config->scale;
    p.accumulate = call.config->accumulate;
    launch_product(context, p, call.config->precision);
}

/// True when cuBLASLt has taken the product, or the first of two and this library the second.
bool multiply_by_lt(cairn_context *context, const Call &call) {
    if (!context->lt.handle || call.k == 0 || call.m * call.n * call.k < LEAST_FOR_LT) return false;
    const cairn_precision precision = call.config->precision;
    const size_t bytes = converted_bytes(*call.a, call.a->transposed ? call.k : call.m,
                                         call.a->transposed ? call.m : call.k, precision)
                         + converted_bytes(*call.b, call.b->transposed ? call.n : call.k,
                                           call.b->transposed ? call.k : call.n, precision);
    char *memory = bytes > 0 ? (char *)scratch(context, bytes) : nullptr;
    if (bytes > 0 && !memory) return false;
    LtProduct p = {};
    p.m = call.m;
    p.n = call.n;
    p.k = call.k;
    p.a = lt_operand(context, *call.a, call.m, call.k, precision, &memory);
    p.b = lt_operand(context, *call.b, call.k, call.n, precision, &memory);
    p.scale = call.config->scale;
    p.keep = call.config->accumulate ? 1 : 0;
    p.bias = call.bias;
    p.c = call.c;
    p.c_stride = call.c_stride;
    if (!context->lt.multiply(p, context->stream)) return false;
    if (call.k2 == 0) return true;
    // A LoRA pair is thin: its product rides on C, which is in the cache still.
    cairn_matmul_config second = *call.config;
    second.accumulate = true;
    Call rest = call;
    rest.config = &second;
    rest.k = call.k2;
    rest.a = call.a2;
    rest.b = call.b2;
    rest.k2 = 0;
    rest.bias = nullptr;
    multiply_here(context, rest);
    return true;
}

}  // namespace

cairn_status matmul_on_device(cairn_context *context, const cairn_matmul_config *config, size_t m,
                              size_t n, size_t k, const cairn_matrix *a, const cairn_matrix *b,
                              size_t k2, const cairn_matrix *a2, const cairn_matrix *b2,
                              const float *bias, float *c, size_t c_stride) {
    if (m == 0 || n == 0) return CAIRN_STATUS_OK;
    if (k2 != 0 && (!a2 || !b2)) return CAIRN_STATUS_INVALID_ARGUMENT;
    const bool first = is_weight_type(a->dtype) && is_weight_type(b->dtype);
    if (!first || (k2 != 0 && !(is_weight_type(a2->dtype) && is_weight_type(b2->dtype))))
        return refuse_quantized(context);
    const Call call = {config, m, n, k, k2, a, b, a2, b2, bias, c, c_stride};
    if (!multiply_by_lt(context, call)) multiply_here(context, call);
    return launched(context, "matmul");
}

cairn_status matmul_adapted_on_device(cairn_context *context, const cairn_matmul_config *config,
                                      size_t m, size_t n, size_t k, const cairn_matrix *a,
                                      const cairn_matrix *b, const cairn_adapter *adapter,
                                      const float *bias, float *c, size_t c_stride) {
    const cairn_matmul_config down = {config->precision, adapter->scale, false};
    const cairn_matrix projected = {adapter->projected, CAIRN_DTYPE_F32, adapter->rank, false};
    const cairn_status status =
        matmul_on_device(context, &down, m, adapter->rank, k, a, &adapter->down, 0, nullptr,
                         nullptr, nullptr, adapter->projected, adapter->rank);
    if (status != CAIRN_STATUS_OK) return status;
    return matmul_on_device(context, config, m, n, k, a, b, adapter->rank, &projected,
                            &adapter->up, bias, c, c_stride);
}

}  // namespace cairn
