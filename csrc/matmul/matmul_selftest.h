// SPDX-License-Identifier: Apache-2.0
/// Whether the BF16 instructions of this machine give the bits of the definition.
///
/// Machines may differ in the order of the two products, in whether they are fused, and in
/// denormals. The numbers below meet each of these, whatever a machine does with the rest.

typedef struct selftest_words {
    uint32_t word[LANES];
} selftest_words;

/// SplitMix64: the same numbers on every machine.
static uint64_t selftest_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/// A bf16 number with the given exponent field, random in sign and mantissa.
static uint32_t selftest_half(uint64_t *state, uint32_t exponent) {
    return (uint32_t)(selftest_random(state) & 0x807f) | exponent << 7;
}

/// Kinds of lanes: any bits; products around the least normal number with sums of its size; sums
/// that the products nearly cancel.
enum { SELFTEST_ANY, SELFTEST_LEAST, SELFTEST_CANCEL, SELFTEST_KINDS };

static void selftest_lane(uint64_t *state, int kind, uint32_t *a, uint32_t *b, uint32_t *sum) {
    *a = (uint32_t)selftest_random(state);
    *b = (uint32_t)selftest_random(state);
    *sum = (uint32_t)selftest_random(state);
    if (kind == SELFTEST_ANY) return;
    const uint64_t choice = selftest_random(state);
    // The exponent fields of a product around 2^-126 add up to 128; around 1, to 254.
    const uint32_t exponents = (kind == SELFTEST_LEAST ? 127 : 252) + (uint32_t)(choice % 4);
    const uint32_t first = 1 + (uint32_t)(choice >> 8) % 120;
    *a = selftest_half(state, first) | selftest_half(state, first) << 16;
    *b = selftest_half(state, exponents - first) | selftest_half(state, exponents - first) << 16;
    const uint32_t exponent = (kind == SELFTEST_LEAST ? 0 : 126) + (uint32_t)(choice >> 16) % 4;
    *sum = (*sum & 0x807fffff) | exponent << 23;
}

/// Numbers where rounding and flushing turn: beside the least normal one, and halves of the last
/// place.
static uint32_t selftest_number(uint64_t *state, size_t lane) {
    const uint32_t bits = (uint32_t)selftest_random(state);
    switch (lane % 4) {
    case 0: return (bits & 0x8000ffff) | 0x007f0000;
    case 1: return (bits & 0xffff0000) | 0x8000;
    case 2: return (bits & 0x80000000) | (bits & 1 ? 0x7f800000 : 0);
    default: return bits;
    }
}

/// Equal bits, or NaN both: which NaN comes out is the hardware's choice.
static bool selftest_is_equal(const selftest_words *a, const selftest_words *b) {
    for (size_t i = 0; i < LANES; i++) {
        const uint32_t x = a->word[i], y = b->word[i];
        const bool both_nan = (x & 0x7fffffff) > 0x7f800000 && (y & 0x7fffffff) > 0x7f800000;
        if (x != y && !both_nan) return false;
    }
    return true;
}

/// The same for pairs as they are used, where a denormal counts as a zero of its sign.
static bool selftest_are_equal_pairs(const selftest_words *a, const selftest_words *b) {
    for (size_t i = 0; i < LANES; i++)
        for (int shift = 0; shift < 32; shift += 16) {
            uint32_t x = a->word[i] >> shift & 0xffff, y = b->word[i] >> shift & 0xffff;
            const bool both_nan = (x & 0x7fff) > 0x7f80 && (y & 0x7fff) > 0x7f80;
            if ((x & 0x7f80) == 0) x &= 0x8000;
            if ((y & 0x7f80) == 0) y &= 0x8000;
            if (x != y && !both_nan) return false;
        }
    return true;
}

static bool selftest_agrees(const cairn_pair_operations *subject) {
    enum { VECTORS = 512 };  // 8192 lanes: each exponent of each operand dozens of times.
    uint64_t state = 1;
    for (size_t v = 0; v < VECTORS; v++) {
        selftest_words a, b, sum, found, expected, even, odd;
        for (size_t i = 0; i < LANES; i++) {
            selftest_lane(&state, (int)(v % SELFTEST_KINDS), &a.word[i], &b.word[i], &sum.word[i]);
            even.word[i] = selftest_number(&state, i);
            odd.word[i] = selftest_number(&state, i / 4);
        }
        const v16 x = v16_load((const float *)&a), y = v16_load((const float *)&b);
        v16_store((float *)&expected,
                  multiply_add_pairs_defined(x, y, v16_load((const float *)&sum)));
        found = sum;
        subject->multiply_add((const float *)&a, (const float *)&b, (float *)&found);
        if (!selftest_is_equal(&found, &expected)) return false;

        v16_store((float *)&expected, pairs_of_rows_defined(v16_load((const float *)&even),
                                                            v16_load((const float *)&odd)));
        subject->round((const float *)&even, (const float *)&odd, (float *)&found);
        if (!selftest_are_equal_pairs(&found, &expected)) return false;
    }
    return true;
}

static void selftest_multiply_add(const float *a, const float *b, float *sum) {
    v16_store(sum, multiply_add_pairs(v16_load(a), v16_load(b), v16_load(sum)));
}

static void selftest_round(const float *even, const float *odd, float *words) {
    v16_store(words, pairs_of_rows(v16_load(even), v16_load(odd)));
}

const cairn_pair_operations cairn_pair_instructions = {selftest_multiply_add, selftest_round};

bool cairn_pairs_are_exact(const cairn_pair_operations *subject) {
    // As in a parallel loop: round to nearest, denormals flushed. Through a pointer that the
    // compiler cannot see through, so that no arithmetic leaves the frame of the two settings.
    bool (*volatile agrees)(const cairn_pair_operations *) = selftest_agrees;
    const unsigned before = _mm_getcsr();
    _mm_setcsr(0x1f80 | 0x8000 | 0x0040);
    const bool are_exact = agrees(subject);
    _mm_setcsr(before);
    return are_exact;
}
