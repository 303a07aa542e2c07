// SPDX-License-Identifier: Apache-2.0
/// SHA-256, block by block: the definition, and which function this processor is best at.

#include "sha256.h"

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
const uint32_t cairn_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static inline uint32_t word(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void cairn_sha256_portable(uint32_t *state, const uint8_t *bytes, size_t blocks) {
    for (; blocks > 0; blocks--, bytes += 64) {
        uint32_t w[64], s[8];
        for (int t = 0; t < 16; t++) w[t] = word(bytes + 4 * t);
        for (int t = 16; t < 64; t++) {
            const uint32_t a = w[t - 15], b = w[t - 2];
            w[t] = w[t - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[t - 7]
                   + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        for (int i = 0; i < 8; i++) s[i] = state[i];
        // Round t finds a..h in s[-t mod 8] and after: nothing moves, and eight rounds unrolled
        // leave all of it in registers.
        for (int t = 0; t < 64; t += 8) {
#pragma clang loop unroll(full)
            for (int r = 0; r < 8; r++) {
                const uint32_t a = s[(8 - r) % 8], b = s[(9 - r) % 8], c = s[(10 - r) % 8];
                const uint32_t e = s[(12 - r) % 8], f = s[(13 - r) % 8], g = s[(14 - r) % 8];
                uint32_t *d = &s[(11 - r) % 8], *h = &s[(15 - r) % 8];
                const uint32_t t1 = *h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25))
                                    + (g ^ (e & (f ^ g))) + cairn_sha256_constants[t + r]
                                    + w[t + r];
                *d += t1;
                *h = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22))
                     + ((a & b) | (c & (a | b)));
            }
        }
        for (int i = 0; i < 8; i++) state[i] += s[i];
    }
}

static void two_portable(uint32_t *const *states, const uint8_t *const *bytes, size_t blocks) {
    for (int lane = 0; lane < 2; lane++) cairn_sha256_portable(states[lane], bytes[lane], blocks);
}

static const cairn_sha256_folds portable = {cairn_sha256_portable, two_portable};

#if defined(__x86_64__)
#include <cpuid.h>

cairn_sha256_folds cairn_sha256_best(void) {
    enum { SSSE3 = 1 << 9, SSE41 = 1 << 19, SHA = 1 << 29 };
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & SSSE3) || !(c & SSE41)) return portable;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & SHA)) return portable;
    return (cairn_sha256_folds){cairn_sha256_x86, cairn_sha256_two_x86};
}
#elif defined(__aarch64__) && defined(__APPLE__)

cairn_sha256_folds cairn_sha256_best(void) {
    return (cairn_sha256_folds){cairn_sha256_arm64, cairn_sha256_two_arm64};
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

cairn_sha256_folds cairn_sha256_best(void) {
    enum { SHA2 = 1 << 6 };  // HWCAP_SHA2 of asm/hwcap.h, which not every C library ships.
    if (!(getauxval(AT_HWCAP) & SHA2)) return portable;
    return (cairn_sha256_folds){cairn_sha256_arm64, cairn_sha256_two_arm64};
}
#else

cairn_sha256_folds cairn_sha256_best(void) { return portable; }
#endif
