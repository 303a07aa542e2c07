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

void cairn_sha256_x86(uint32_t *state, const uint8_t *bytes, size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    // Lanes from low to high: d c b a and h g f e become f e b a and h g d c.
    const __m128i abcd = _mm_loadu_si128((const __m128i *)state);
    const __m128i efgh = _mm_loadu_si128((const __m128i *)(state + 4));
    const __m128i badc = _mm_shuffle_epi32(abcd, 0xB1), hgfe = _mm_shuffle_epi32(efgh, 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);

    for (; blocks > 0; blocks--, bytes += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < 16; t++) {
            if (t < 4) {
                const __m128i *piece = (const __m128i *)(bytes + 16 * t);
                w[t] = _mm_shuffle_epi8(_mm_loadu_si128(piece), swap);
            } else {
                w[t % 4] = scheduled(w[t % 4], w[(t + 1) % 4], w[(t + 2) % 4], w[(t + 3) % 4]);
            }
            four_rounds(&abef, &cdgh, w[t % 4], t);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }

    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#pragma clang attribute pop

#endif
