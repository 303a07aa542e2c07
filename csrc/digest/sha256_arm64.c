// SPDX-License-Identifier: Apache-2.0
/// SHA-256 with the cryptographic extension of ARMv8: four rounds per pair of instructions.

#include "sha256.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("sha2"))), apply_to = function)

/// Folds blocks into `lanes` states at once, a number that the compiler knows. The rounds of one
/// state wait for each other, so that a second one costs little.
static inline void fold(uint32_t *const *states, const uint8_t *const *bytes, size_t blocks,
                        const int lanes) {
    uint32x4_t abcd[2], efgh[2];
    for (int l = 0; l < lanes; l++) {
        abcd[l] = vld1q_u32(states[l]);
        efgh[l] = vld1q_u32(states[l] + 4);
    }
    for (size_t block = 0; block < blocks; block++) {
        uint32x4_t abcd_before[2], efgh_before[2], w[2][4];
        for (int l = 0; l < lanes; l++) {
            abcd_before[l] = abcd[l];
            efgh_before[l] = efgh[l];
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < 16; t++) {
            const uint32x4_t constants = vld1q_u32(cairn_sha256_constants + 4 * t);
#pragma clang loop unroll(full)
            for (int l = 0; l < lanes; l++) {
                if (t < 4) {
                    const uint8_t *piece = bytes[l] + 64 * block + 16 * t;
                    w[l][t] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(piece)));
                } else {
                    w[l][t % 4] = vsha256su1q_u32(vsha256su0q_u32(w[l][t % 4], w[l][(t + 1) % 4]),
                                                  w[l][(t + 2) % 4], w[l][(t + 3) % 4]);
                }
                const uint32x4_t sum = vaddq_u32(w[l][t % 4], constants), old = abcd[l];
                abcd[l] = vsha256hq_u32(abcd[l], efgh[l], sum);
                efgh[l] = vsha256h2q_u32(efgh[l], old, sum);
            }
        }
        for (int l = 0; l < lanes; l++) {
            abcd[l] = vaddq_u32(abcd[l], abcd_before[l]);
            efgh[l] = vaddq_u32(efgh[l], efgh_before[l]);
        }
    }
    for (int l = 0; l < lanes; l++) {
        vst1q_u32(states[l], abcd[l]);
        vst1q_u32(states[l] + 4, efgh[l]);
    }
}

void cairn_sha256_arm64(uint32_t *state, const uint8_t *bytes, size_t blocks) {
    fold((uint32_t *const[]){state}, (const uint8_t *const[]){bytes}, blocks, 1);
}

void cairn_sha256_two_arm64(uint32_t *const *states, const uint8_t *const *bytes, size_t blocks) {
    fold(states, bytes, blocks, 2);
}

#pragma clang attribute pop

#endif
