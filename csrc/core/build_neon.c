// SPDX-License-Identifier: Apache-2.0
/// The kernels for 64-bit Arm: a vector is four NEON registers.

#include "core/core.h"

#if defined(__aarch64__)
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CAIRN_ROW cairn_kernels_neon
#define CAIRN_BUILD_NEON 1
#include "core/build.h"
#endif
