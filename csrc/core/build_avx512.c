// SPDX-License-Identifier: Apache-2.0
/// The kernels for AVX-512: a vector is one zmm.

#include "core/core.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prfchw,avx2,fma,f16c"))), apply_to = function)

#define CAIRN_ROW cairn_kernels_avx512
#define CAIRN_BUILD_AVX512 1
#include "core/build.h"
#pragma clang attribute pop

#endif  // x86-64
