// SPDX-License-Identifier: Apache-2.0
/// The fingerprint: eight lanes of multiplications that do not wait for each other.

#include "include/cairn_digest.h"

#include <string.h>

enum { LANES = 8, STRIPE = 8 * LANES };

/// The first 64 bits of the fractional parts of the square roots of the first eight primes, odd.
static const uint64_t K[LANES] = {
    0x6a09e667f3bcc909, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};
/// Those of the golden ratio and of pi.
static const uint64_t P = 0x9e3779b97f4a7c15, Q = 0x243f6a8885a308d3;

static inline uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }

static inline uint64_t word(const uint8_t *bytes) {
    uint64_t w;
    memcpy(&w, bytes, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

static inline void take(uint64_t *lanes, const uint8_t *stripe) {
    // The vector form of 64-bit products is slower than eight scalar ones.
#pragma clang loop vectorize(disable) unroll(full)
    for (int i = 0; i < LANES; i++) lanes[i] = rotate(lanes[i] + word(stripe + 8 * i) * P, 31) * Q;
}

/// A bijection in which every bit of `x` moves about half of all bits.
static inline uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 32) * Q;
    x = (x ^ x >> 29) * P;
    return x ^ x >> 32;
}

void cairn_fingerprint(uint64_t *state, const uint8_t *bytes, size_t count) {
    uint64_t lanes[LANES];
    for (int i = 0; i < LANES; i++) lanes[i] = state[i % 2] + K[i] * (uint64_t)(i + 1);
    size_t rest = count;
    for (; rest >= STRIPE; rest -= STRIPE, bytes += STRIPE) take(lanes, bytes);
    if (rest > 0) {
        uint8_t last[STRIPE] = {0};
        memcpy(last, bytes, rest);
        take(lanes, last);
    }
    for (int j = 0; j < 2; j++) {
        uint64_t sum = (uint64_t)count ^ state[j] ^ K[j];
        for (int i = 0; i < LANES; i++) sum = rotate(sum ^ mixed(lanes[i] * K[j]), 29) * P;
        state[j] = mixed(sum);
    }
}
