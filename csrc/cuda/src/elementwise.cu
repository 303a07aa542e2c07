// SPDX-License-Identifier: Apache-2.0
/// Operations on one element at a time (cairn_elementwise.h).

#include "context.h"
#include "loop.cuh"
#include "math.cuh"

namespace cairn {
inline namespace kernels {

// Outputs may be inputs here, so no pointer is restricted.
__global__ void __launch_bounds__(LOOP_BLOCK)
add_elements(size_t count, const float *a, float scale, const float *b, float *y) {
    for (Loop i(count); i; ++i) y[i.at] = fmaf(scale, b[i.at], a[i.at]);
}

__global__ void __launch_bounds__(LOOP_BLOCK)
multiply_elements(size_t count, const float *a, const float *b, float *y) {
    for (Loop i(count); i; ++i) y[i.at] = a[i.at] * b[i.at];
}

__global__ void __launch_bounds__(LOOP_BLOCK)
scale_elements(size_t count, float scale, const float *x, float *y) {
    for (Loop i(count); i; ++i) y[i.at] = x[i.at] * scale;
}

__global__ void __launch_bounds__(LOOP_BLOCK)
widen_elements(size_t count, const void *source, int dtype, float *destination) {
    for (Loop i(count); i; ++i) destination[i.at] = load_weight(source, dtype, i.at);
}

}  // namespace kernels

cairn_status add_on_device(cairn_context *context, size_t count, const float *a, float scale,
                           const float *b, float *y) {
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(add_elements, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream, count,
           a, scale, b, y);
    return launched(context, "add");
}

cairn_status multiply_on_device(cairn_context *context, size_t count, const float *a,
                                const float *b, float *y) {
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(multiply_elements, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           count, a, b, y);
    return launched(context, "multiply");
}

cairn_status scale_on_device(cairn_context *context, size_t count, float scale, const float *x,
                             float *y) {
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(scale_elements, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           count, scale, x, y);
    return launched(context, "scale");
}

cairn_status widen_on_device(cairn_context *context, size_t count, const void *source,
                             cairn_dtype dtype, float *destination) {
    if (!is_weight_type(dtype)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(widen_elements, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream,
           count, source, dtype, destination);
    return launched(context, "widen");
}

}  // namespace cairn
