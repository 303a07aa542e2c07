// SPDX-License-Identifier: Apache-2.0
/// Digests of bytes: the part of writing and checking files that must run at the medium's speed.
///
/// A target apart from the kernels: readers and writers of files must not see those.

#ifndef CAIRN_DIGEST_H
#define CAIRN_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Folds whole blocks into the state of a SHA-256.
///
/// - Shapes:   `state` holds the eight words of FIPS 180-4, `bytes` holds 64 * `blocks` bytes.
/// - Numerics: the same words from every function of this type.
/// - Source:   FIPS 180-4, section 6.2.2.
typedef void (*cairn_sha256_fold)(uint32_t *state, const uint8_t *bytes, size_t blocks);

/// Folds as many blocks into each of two states: in the time of one where the processor has
/// instructions for SHA-256, whose rounds wait for each other.
///
/// - Shapes:   two states and two strings of 64 * `blocks` bytes; the states are not the same one.
typedef void (*cairn_sha256_fold_two)(uint32_t *_Nonnull const *_Nonnull states,
                                      const uint8_t *_Nonnull const *_Nonnull bytes,
                                      size_t blocks);

/// The two functions of a machine.
typedef struct cairn_sha256_folds {
    cairn_sha256_fold one;
    cairn_sha256_fold_two two;
} cairn_sha256_folds;

/// The definition, for every machine.
void cairn_sha256_portable(uint32_t *state, const uint8_t *bytes, size_t blocks);

/// The functions that use this processor's instructions for SHA-256; the definition where it has
/// none.
///
/// Asks the processor on every call: keep the answer.
cairn_sha256_folds cairn_sha256_best(void);

/// Names a string of bytes by 128 bits, at the speed of memory; not against an adversary.
///
/// With words w of 8 bytes, little-endian, lanes h_0..h_7 and odd constants K_i, P, Q:
///
///     h_i <- state_(i mod 2) + K_i * (i + 1)         at the beginning
///     h_i <- rotate(h_i + w * P, 31) * Q             for the i-th word of every eight
///     sum <- count ^ state_j ^ K_j                   at the end, for j = 0 and 1
///     sum <- rotate(sum ^ mixed(h_i * K_j), 29) * P  for i = 0..7
///     state_j <- mixed(sum)
///     mixed(x) = z ^ z >> 32,  z = (y ^ y >> 29) * P,  y = (x ^ x >> 32) * Q
///
/// where the last words are filled up with zeros to 64 bytes. Every step is a bijection of the
/// word for a given lane and of the lane for a given word, and the sum one of each lane: a change
/// within one aligned word of 8 bytes changes both halves of the result for certain. Any other
/// change goes unnoticed with the odds of a random function: 2^-64 where all of its words are of
/// one lane, that is whole multiples of 64 bytes apart, for both halves hang on the lane's end
/// alone; else 2^-128.
///
/// - Shapes:   `state` holds two words: zeros at first, then the result, from which a further
///             string goes on. Where strings are cut matters: "ab" and "c" are not "abc".
/// - Numerics: the same words on every machine.
void cairn_fingerprint(uint64_t *state, const uint8_t *bytes, size_t count);

#pragma clang assume_nonnull end

#endif
