// SPDX-License-Identifier: Apache-2.0
/// Weights in 8 and 4 bits, which this engine does not compute: every entry says so.

#include "context.h"

namespace cairn {

cairn_status refuse_quantized(cairn_context *context) {
    return fail(context, CAIRN_STATUS_DEVICE_FAILED,
                "cuda:%d computes no weights in 8 or 4 bits; they are for the CPU",
                context->device);
}

cairn_status quantize_int8_on_device(cairn_context *context, size_t, size_t, const void *,
                                     cairn_dtype, int8_t *, float *, int32_t *) {
    return refuse_quantized(context);
}

cairn_status quantize_nf4_on_device(cairn_context *context, size_t, const void *, cairn_dtype,
                                    uint8_t *, int8_t *, float *) {
    return refuse_quantized(context);
}

cairn_status matmul_int8_on_device(cairn_context *context, size_t, size_t, const float *,
                                   const cairn_int8 *, const float *, float *) {
    return refuse_quantized(context);
}

}  // namespace cairn
