// SPDX-License-Identifier: Apache-2.0
/// The random kernels, written once; every build_*.c includes this file under its own target.

typedef uint32_t v16u __attribute__((ext_vector_type(16)));
typedef uint32_t v8u __attribute__((ext_vector_type(8)));
typedef uint64_t v8w __attribute__((ext_vector_type(8)));

/// Eight blocks of Philox4x32-10, in place: word w of block l is the low half of lane l of c[w].
///
/// The high halves hold whatever a product left there; no product reads them.
CAIRN_INLINE void philox_eight(v8w c[4], uint64_t key) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const v8w a = (c[0] & 0xffffffffu) * 0xD2511F53u, b = (c[2] & 0xffffffffu) * 0xCD9E8D57u;
        c[0] = (b >> 32) ^ c[1] ^ (v8w)((uint64_t)k0);
        c[2] = (a >> 32) ^ c[3] ^ (v8w)((uint64_t)k1);
        c[1] = b;
        c[3] = a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/// Sixteen blocks with the counters (first + l, position, row, step); words[w] has word w of each.
CAIRN_INLINE void philox_sixteen(uint32_t first, uint32_t position, uint32_t row, uint32_t step,
                                 uint64_t key, v16u words[4]) {
    const v8w lanes = {0, 1, 2, 3, 4, 5, 6, 7};
    v8w low[4] = {lanes + (v8w)((uint64_t)first), (v8w)((uint64_t)position),
                  (v8w)((uint64_t)row), (v8w)((uint64_t)step)};
    v8w high[4] = {low[0] + 8, low[1], low[2], low[3]};
    philox_eight(low, key);
    philox_eight(high, key);
    for (size_t w = 0; w < 4; w++) {
        const v8u a = __builtin_convertvector(low[w], v8u);
        const v8u b = __builtin_convertvector(high[w], v8u);
        words[w] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                           15);
    }
}

/// From four words of sixteen blocks to the sixteen words of features 16 i ..< 16 i + 16.
CAIRN_INLINE void interleave_words(const v16u c[4], v16u features[4]) {
#define CAIRN_ZIP_LOW(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define CAIRN_ZIP_HIGH(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    const v16u even_low = CAIRN_ZIP_LOW(c[0], c[2]), even_high = CAIRN_ZIP_HIGH(c[0], c[2]);
    const v16u odd_low = CAIRN_ZIP_LOW(c[1], c[3]), odd_high = CAIRN_ZIP_HIGH(c[1], c[3]);
    features[0] = CAIRN_ZIP_LOW(even_low, odd_low);
    features[1] = CAIRN_ZIP_HIGH(even_low, odd_low);
    features[2] = CAIRN_ZIP_LOW(even_high, odd_high);
    features[3] = CAIRN_ZIP_HIGH(even_high, odd_high);
#undef CAIRN_ZIP_LOW
#undef CAIRN_ZIP_HIGH
}

static void dropout(uint64_t key, uint32_t step, int32_t threshold, float factor, size_t rows,
                    size_t width, const uint32_t *row_ids, const uint32_t *positions,
                    const float *x, float *y) {
    for (size_t t = 0; t < rows; t++, x += width, y += width)
        for (size_t j = 0; j < width; j += 4 * LANES) {
            v16u words[4], features[4];
            philox_sixteen((uint32_t)(j / 4), positions[t], row_ids[t], step, key, words);
            interleave_words(words, features);
            for (size_t i = 0; i < 4 && j + i * LANES < width; i++) {
                const size_t at = j + i * LANES, left = width - at;
                const v16i keep = (v16i)(features[i] >> 8) >= (v16i)(threshold);
                const v16 mask = (v16)(keep & (v16i)v16_set(factor));
                v16_store_some(y + at, v16_load_some(x + at, left) * mask, left);
            }
        }
}

static const cairn_random_kernels random_kernels = {.dropout = dropout};
