// SPDX-License-Identifier: Apache-2.0
/// Dropout with the masks of the CPU (cairn_random.h): the same Philox counters, the same words.

#include "loop.cuh"

namespace cairn {
inline namespace kernels {

/// Philox4x32-10, in place.
__device__ __forceinline__ void philox(uint32_t (&counter)[4], uint32_t k0, uint32_t k1) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint32_t a_high = __umulhi(counter[0], 0xD2511F53u), a = counter[0] * 0xD2511F53u;
        const uint32_t b_high = __umulhi(counter[2], 0xCD9E8D57u), b = counter[2] * 0xCD9E8D57u;
        counter[0] = b_high ^ counter[1] ^ k0;
        counter[2] = a_high ^ counter[3] ^ k1;
        counter[1] = b;
        counter[3] = a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/// A thread takes four neighbouring features: one block of random words.
__global__ void __launch_bounds__(LOOP_BLOCK)
drop(size_t quads, size_t count, size_t width, uint64_t key, uint32_t step, uint32_t threshold,
     float factor, const uint32_t *row_ids, const uint32_t *positions, const float *x, float *y) {
    for (Loop i(count); i; ++i) {
        const size_t row = i.at / quads, quad = i.at % quads;
        uint32_t words[4] = {(uint32_t)quad, positions[row], row_ids[row], step};
        philox(words, (uint32_t)key, (uint32_t)(key >> 32));
#pragma unroll
        for (size_t w = 0; w < 4; w++) {
            const size_t j = quad * 4 + w, at = row * width + j;
            if (j < width) y[at] = x[at] * (words[w] >> 8 >= threshold ? factor : 0);
        }
    }
}

}  // namespace kernels

cairn_status dropout_on_device(cairn_context *context, const cairn_dropout_config *config,
                               size_t rows, size_t width, const uint32_t *row_ids,
                               const uint32_t *positions, const float *x, float *y) {
    const double p = (double)config->probability, scaled = p * 0x1p24;
    if (!(p >= 0 && p < 1) || multiply_overflows(rows, width)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows * width == 0) return CAIRN_STATUS_OK;
    const uint32_t floor = (uint32_t)scaled;
    const size_t quads = (width + 3) / 4;
    LAUNCH(drop, loop_blocks(context, rows * quads), dim3(LOOP_BLOCK), 0, context->stream, quads,
           rows * quads, width, config->key, config->step,
           (double)floor < scaled ? floor + 1 : floor, (float)(1 / (1 - p)), row_ids, positions, x,
           y);
    return launched(context, "dropout");
}

}  // namespace cairn
