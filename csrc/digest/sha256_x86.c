// SPDX-License-Identifier: Apache-2.0
/// SHA-256 with the SHA extensions of x86-64: two rounds per instruction.

#include "sha256.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("sha,sse4.1,ssse3"))), apply_to = function)

/// Words 4t..4t+3 of the schedule, of the 16 before them in four registers, oldest first.
static inline __m128i scheduled(__m128i w0, __m128i w1, __m128i w2, __m128i w3) {
    const __m128i middle = _mm_alignr_epi8(w3, w2, 4);  // w[t - 7]
    return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), middle), w3);
}

/// Four rounds: the instruction takes a, b, e, f and c, d, g, h, and gives the former two on.
static inline void four_rounds(__m128i *abef, __m128i *cdgh, __m128i w, int t) {
    const __m128i *constants = (const __m128i *)(cairn_sha256_constants + 4 * t);
    const __m128i sum = _mm_add_epi32(w, _mm_loadu_si128(constants));
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

/// The state as the instructions want it: lanes from low to high, d c b a and h g f e become
/// f e b a and h g d c.
typedef struct lane {
    __m128i abef, cdgh;
} lane;

static inline lane lane_of(const uint32_t *state) {
    const __m128i abcd = _mm_loadu_si128((const __m128i *)state);
    const __m128i efgh = _mm_loadu_si128((const __m128i *)(state + 4));
    const __m128i badc = _mm_shuffle_epi32(abcd, 0xB1), hgfe = _mm_shuffle_epi32(efgh, 0x1B);
    return (lane){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xF0)};
}

static inline void store_lane(const lane *x, uint32_t *state) {
    const __m128i feba = _mm_shuffle_epi32(x->abef, 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(x->cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/// Folds blocks into `lanes` states at once, a number that the compiler knows. The rounds of one
/// state wait for each other, so that a second one costs nothing.
static inline void fold(uint32_t *const *states, const uint8_t *const *bytes, size_t blocks,
                        const int lanes) {
    const __m128i swap = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    lane now[2];
    for (int l = 0; l < lanes; l++) now[l] = lane_of(states[l]);
    for (size_t block = 0; block < blocks; block++) {
        lane before[2];
        __m128i w[2][4];
        for (int l = 0; l < lanes; l++) before[l] = now[l];
#pragma clang loop unroll(full)
        for (int t = 0; t < 16; t++)
#pragma clang loop unroll(full)
            for (int l = 0; l < lanes; l++) {
                if (t < 4) {
                    const __m128i *piece = (const __m128i *)(bytes[l] + 64 * block + 16 * t);
                    w[l][t] = _mm_shuffle_epi8(_mm_loadu_si128(piece), swap);
                } else {
                    w[l][t % 4] = scheduled(w[l][t % 4], w[l][(t + 1) % 4], w[l][(t + 2) % 4],
                                            w[l][(t + 3) % 4]);
                }
                four_rounds(&now[l].abef, &now[l].cdgh, w[l][t % 4], t);
            }
        for (int l = 0; l < lanes; l++) {
            now[l].abef = _mm_add_epi32(now[l].abef, before[l].abef);
            now[l].cdgh = _mm_add_epi32(now[l].cdgh, before[l].cdgh);
        }
    }
    for (int l = 0; l < lanes; l++) store_lane(&now[l], states[l]);
}

void cairn_sha256_x86(uint32_t *state, const uint8_t *bytes, size_t blocks) {
    fold((uint32_t *const[]){state}, (const uint8_t *const[]){bytes}, blocks, 1);
}

void cairn_sha256_two_x86(uint32_t *const *states, const uint8_t *const *bytes, size_t blocks) {
    fold(states, bytes, blocks, 2);
}

#pragma clang attribute pop

#endif
