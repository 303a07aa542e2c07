// SPDX-License-Identifier: Apache-2.0
/// Which kernels run where: one row per instruction set.

#include "core/core.h"

extern const cairn_kernels cairn_kernels_scalar;
#if defined(__x86_64__)
extern const cairn_kernels cairn_kernels_avx2;
extern const cairn_kernels cairn_kernels_avx512;
extern const cairn_kernels cairn_kernels_avx512bf16;

// These ask the operating system too: without its saving the wide registers they are false.
static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/// Only where its instructions give the bits of the definition, which takes some microseconds to
/// find out.
static bool has_avx512bf16(void) {
    return has_avx512() && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("avx512vnni") &&
           cairn_pairs_are_exact(&cairn_pair_instructions);
}
#elif defined(__aarch64__)
extern const cairn_kernels cairn_kernels_neon;
#endif

const cairn_kernels *cairn_kernels_for(cairn_isa isa) {
    switch (isa) {
    case CAIRN_ISA_SCALAR:
        return &cairn_kernels_scalar;
    case CAIRN_ISA_NEON:
#if defined(__aarch64__)
        return &cairn_kernels_neon;  // Every 64-bit Arm has it.
#else
        return NULL;
#endif
    case CAIRN_ISA_AVX2:
#if defined(__x86_64__)
        return has_avx2() ? &cairn_kernels_avx2 : NULL;
#else
        return NULL;
#endif
    case CAIRN_ISA_AVX512:
#if defined(__x86_64__)
        return has_avx512() ? &cairn_kernels_avx512 : NULL;
#else
        return NULL;
#endif
    case CAIRN_ISA_AVX512BF16:
#if defined(__x86_64__)
        return has_avx512bf16() ? &cairn_kernels_avx512bf16 : NULL;
#else
        return NULL;
#endif
    }
    return NULL;
}

bool cairn_isa_is_supported(cairn_isa isa) { return cairn_kernels_for(isa) != NULL; }

cairn_isa cairn_isa_best(void) {
    static const cairn_isa widest_first[] = {CAIRN_ISA_AVX512BF16, CAIRN_ISA_AVX512,
                                             CAIRN_ISA_AVX2, CAIRN_ISA_NEON};
    for (size_t i = 0; i < sizeof widest_first / sizeof *widest_first; i++)
        if (cairn_isa_is_supported(widest_first[i])) return widest_first[i];
    return CAIRN_ISA_SCALAR;
}
