// SPDX-License-Identifier: Apache-2.0
/// Signatures of the optimizer kernels that each instruction set is built with.

#ifndef CAIRN_OPTIMIZER_KERNELS_H
#define CAIRN_OPTIMIZER_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_optimizer_kernels {
    int placeholder;
} cairn_optimizer_kernels;

#endif
