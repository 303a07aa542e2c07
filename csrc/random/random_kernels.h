// SPDX-License-Identifier: Apache-2.0
/// Signatures of the random kernels that each instruction set is built with.

#ifndef CAIRN_RANDOM_KERNELS_H
#define CAIRN_RANDOM_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_random_kernels {
    int placeholder;
} cairn_random_kernels;

#endif
