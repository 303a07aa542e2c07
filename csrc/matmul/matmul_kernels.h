// SPDX-License-Identifier: Apache-2.0
/// Signatures of the matmul kernels that each instruction set is built with.

#ifndef CAIRN_MATMUL_KERNELS_H
#define CAIRN_MATMUL_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_matmul_kernels {
    int placeholder;
} cairn_matmul_kernels;

#endif
