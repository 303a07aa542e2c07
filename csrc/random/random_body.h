// SPDX-License-Identifier: Apache-2.0
/// The random kernels, written once; every build_*.c includes this file under its own target.

typedef uint32_t v16u __attribute__((ext_vector_type(16)));
typedef uint64_t v16w __attribute__((ext_vector_type(16)));

/// Sixteen blocks of Philox4x32-10, in place: word w of block l is lane l of c[w].
CAIRN_INLINE void philox_blocks(v16u c[4], uint64_t key) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const v16w a = __builtin_convertvector(c[0], v16w) * 0xD2511F53u;
        const v16w b = __builtin_convertvector(c[2], v16w) * 0xCD9E8D57u;
        const v16u a_high = __builtin_convertvector(a >> 32, v16u);
        const v16u b_high = __builtin_convertvector(b >> 32, v16u);
        c[0] = b_high ^ c[1] ^ (v16u)(k0);
        c[2] = a_high ^ c[3] ^ (v16u)(k1);
        c[1] = __builtin_convertvector(b, v16u);
        c[3] = __builtin_convertvector(a, v16u);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
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
    const v16u lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (size_t t = 0; t < rows; t++, x += width, y += width)
        for (size_t j = 0; j < width; j += 4 * LANES) {
            v16u words[4] = {lanes + (v16u)((uint32_t)(j / 4)), (v16u)(positions[t]),
                             (v16u)(row_ids[t]), (v16u)(step)};
            v16u features[4];
            philox_blocks(words, key);
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
