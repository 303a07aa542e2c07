// SPDX-License-Identifier: Apache-2.0
/// Rotary position embedding (cairn_attention.h).

#include "loop.cuh"

namespace cairn {
inline namespace kernels {

/// A thread rotates one pair; x may be y.
__global__ void __launch_bounds__(LOOP_BLOCK)
rotate(size_t count, size_t heads, size_t half, const uint32_t *positions, const float *cosine,
       const float *sine, bool inverse, const float *x, float *y) {
    for (Loop i(count); i; ++i) {
        const size_t head = i.at / half, j = i.at % half, at = head * 2 * half + j;
        const size_t angle = (size_t)positions[head / heads] * half + j;
        const float c = cosine[angle], turn = sine[angle], s = inverse ? -turn : turn;
        const float a = x[at], b = x[at + half];
        y[at] = fmaf(a, c, -(b * s));
        y[at + half] = fmaf(b, c, a * s);
    }
}

}  // namespace kernels

cairn_status rope_on_device(cairn_context *context, size_t rows, size_t heads, size_t half,
                            const uint32_t *positions, const float *cosine, const float *sine,
                            bool inverse, const float *x, float *y) {
    if (multiply_overflows(heads * 2, half) || multiply_overflows(rows, heads * 2 * half))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const size_t count = rows * heads * half;
    if (count == 0) return CAIRN_STATUS_OK;
    LAUNCH(rotate, loop_blocks(context, count), dim3(LOOP_BLOCK), 0, context->stream, count, heads,
           half, positions, cosine, sine, inverse, x, y);
    return launched(context, "rope");
}

}  // namespace cairn
