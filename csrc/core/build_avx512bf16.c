// SPDX-License-Identifier: Apache-2.0
/// The kernels for AVX-512 with BF16 and VNNI, which every processor with BF16 has: those of AVX-512,
/// a matmul of pairs of bf16 numbers, and one of four 8-bit codes at a time.

#include "core/core.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prfchw,avx512bf16,avx512vnni,avx2,fma,f16c"))), apply_to = function)

#define CAIRN_ROW cairn_kernels_avx512bf16
#define CAIRN_BUILD_AVX512 1
#define CAIRN_BUILD_AVX512BF16 1
#include "core/build.h"

#include "matmul/matmul_selftest.h"
#pragma clang attribute pop

#endif  // x86-64
