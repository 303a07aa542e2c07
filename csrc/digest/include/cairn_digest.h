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
/// - Numerics: the same words on every instruction set.
/// - Source:   FIPS 180-4, section 6.2.2.
void cairn_sha256_blocks(uint32_t *state, const uint8_t *bytes, size_t blocks);

#pragma clang assume_nonnull end

#endif
