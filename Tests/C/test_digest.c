// SPDX-License-Identifier: Apache-2.0
/// Digests: known answers, and the same words from every instruction set at every alignment.

#include "check.h"
#include "digest/include/cairn_digest.h"

static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/// The digest of a message of `count` bytes, as eight words.
static void sha256(cairn_sha256_fold fold, const uint8_t *message, size_t count,
                   uint32_t *digest) {
    memcpy(digest, initial, sizeof initial);
    fold(digest, message, count / 64);
    uint8_t last[128] = {0};
    memcpy(last, message + count / 64 * 64, count % 64);
    last[count % 64] = 0x80;
    const size_t blocks = count % 64 < 56 ? 1 : 2;
    for (size_t i = 0; i < 8; i++)
        last[64 * blocks - 1 - i] = (uint8_t)((uint64_t)count * 8 >> 8 * i);
    fold(digest, last, blocks);
}

static void known_answer(const char *name, cairn_sha256_fold fold, const uint8_t *message,
                         size_t count, const char *expected) {
    uint32_t digest[8];
    char text[65];
    sha256(fold, message, count, digest);
    for (int i = 0; i < 8; i++) snprintf(text + 8 * i, 9, "%08x", digest[i]);
    check(strcmp(text, expected) == 0, "%s, %zu bytes: %s, expected %s", name, count, text,
          expected);
}

/// The vectors of FIPS 180-4 and of NIST's examples, long ones included.
static void known_answers(const char *name, cairn_sha256_fold fold) {
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    known_answer(name, fold, (const uint8_t *)"", 0,
                 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    known_answer(name, fold, (const uint8_t *)"abc", 3,
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    known_answer(name, fold, (const uint8_t *)two, strlen(two),
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    uint8_t *letters = exact(1000000), *zeros = exact(1000000);
    memset(letters, 'a', 1000000);
    memset(zeros, 0, 1000000);
    known_answer(name, fold, letters, 1000000,
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    known_answer(name, fold, zeros, 64,
                 "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
    known_answer(name, fold, zeros, 1000000,
                 "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025");
    free(letters);
    free(zeros);
}

static void native_equals_portable(cairn_sha256_fold native) {
    for (size_t round = 0; round < 400; round++) {
        const size_t shift = random_below(64), blocks = random_below(70);
        uint8_t *memory = exact(shift + 64 * blocks);
        for (size_t i = 0; i < shift + 64 * blocks; i++) memory[i] = (uint8_t)random_word();
        uint32_t a[8], b[8];
        for (int i = 0; i < 8; i++) a[i] = b[i] = (uint32_t)random_word();
        cairn_sha256_portable(a, memory + shift, blocks);
        native(b, memory + shift, blocks);
        check(memcmp(a, b, sizeof a) == 0, "%zu blocks at offset %zu differ", blocks, shift);
        free(memory);
    }
}

/// Two states at once, at alignments of their own, give what each gives alone.
static void two_equal_one(cairn_sha256_fold_two two) {
    for (size_t round = 0; round < 400; round++) {
        const size_t blocks = random_below(70), shifts[2] = {random_below(64), random_below(64)};
        uint8_t *memory[2];
        uint32_t alone[2][8], beside[2][8];
        for (int lane = 0; lane < 2; lane++) {
            memory[lane] = exact(shifts[lane] + 64 * blocks);
            for (size_t i = 0; i < shifts[lane] + 64 * blocks; i++)
                memory[lane][i] = (uint8_t)random_word();
            for (int i = 0; i < 8; i++) alone[lane][i] = beside[lane][i] = (uint32_t)random_word();
            cairn_sha256_portable(alone[lane], memory[lane] + shifts[lane], blocks);
        }
        two((uint32_t *const[]){beside[0], beside[1]},
            (const uint8_t *const[]){memory[0] + shifts[0], memory[1] + shifts[1]}, blocks);
        check(memcmp(alone, beside, sizeof alone) == 0, "%zu blocks at offsets %zu and %zu differ",
              blocks, shifts[0], shifts[1]);
        for (int lane = 0; lane < 2; lane++) free(memory[lane]);
    }
}

/// Words that every machine must give; the formula itself is tested in Swift.
static void fingerprints(void) {
    uint8_t *ramp = exact(256);
    for (int i = 0; i < 256; i++) ramp[i] = (uint8_t)i;
    uint64_t state[2] = {0, 0};
    cairn_fingerprint(state, ramp, 256);
    check(state[0] == 0xeba89ecf888c9eee && state[1] == 0x1819b6bddd1eea8e,
          "a ramp gives %016llx%016llx", (unsigned long long)state[0],
          (unsigned long long)state[1]);
    free(ramp);
    for (size_t count = 0; count <= 300; count++) {  // Nothing beyond the end is read.
        uint8_t *message = exact(count), *moved = exact(count + 3);
        for (size_t i = 0; i < count; i++) message[i] = (uint8_t)random_word();
        memcpy(moved + 3, message, count);
        uint64_t a[2] = {1, 2}, b[2] = {1, 2};
        cairn_fingerprint(a, message, count);
        cairn_fingerprint(b, moved + 3, count);
        check(memcmp(a, b, sizeof a) == 0, "%zu bytes at another alignment", count);
        free(message);
        free(moved);
    }
}

int main(void) {
    known_answers("portable", cairn_sha256_portable);
    const cairn_sha256_folds best = cairn_sha256_best();
    printf("SHA-256 instructions: %s\n", best.one == cairn_sha256_portable ? "no" : "yes");
    known_answers("best", best.one);
    native_equals_portable(best.one);
    two_equal_one(best.two);
    fingerprints();
    return summary();
}
