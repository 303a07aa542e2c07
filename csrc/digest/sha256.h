// SPDX-License-Identifier: Apache-2.0
/// What the functions for SHA-256 share.

#ifndef CAIRN_SHA256_H
#define CAIRN_SHA256_H

#include "include/cairn_digest.h"

/// K of FIPS 180-4, section 4.2.2.
extern const uint32_t cairn_sha256_constants[64];

void cairn_sha256_x86(uint32_t *state, const uint8_t *bytes, size_t blocks);
void cairn_sha256_two_x86(uint32_t *const *states, const uint8_t *const *bytes, size_t blocks);
void cairn_sha256_arm64(uint32_t *state, const uint8_t *bytes, size_t blocks);
void cairn_sha256_two_arm64(uint32_t *const *states, const uint8_t *const *bytes, size_t blocks);

#endif
