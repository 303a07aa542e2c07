// SPDX-License-Identifier: Apache-2.0
/// SHA-256 with the cryptographic extension of ARMv8: four rounds per pair of instructions.

#include "sha256.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("sha2"))), apply_to = function)

void cairn_sha256_arm64(uint32_t *state, const uint8_t *bytes, size_t blocks) {
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);

    for (; blocks > 0; blocks--, bytes += 64) {
        const uint32x4_t abcd_before = abcd, efgh_before = efgh;
        uint32x4_t w[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < 16; t++) {
            if (t < 4) {
                w[t] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(bytes + 16 * t)));
            } else {
                w[t % 4] = vsha256su1q_u32(vsha256su0q_u32(w[t % 4], w[(t + 1) % 4]),
                                           w[(t + 2) % 4], w[(t + 3) % 4]);
            }
            const uint32x4_t sum = vaddq_u32(w[t % 4], vld1q_u32(cairn_sha256_constants + 4 * t));
            const uint32x4_t old = abcd;
            abcd = vsha256hq_u32(abcd, efgh, sum);
            efgh = vsha256h2q_u32(efgh, old, sum);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }

    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}

#pragma clang attribute pop

#endif
