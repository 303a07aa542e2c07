// SPDX-License-Identifier: Apache-2.0
/// Signatures of the normalization kernels that each instruction set is built with.

#ifndef CAIRN_NORMALIZATION_KERNELS_H
#define CAIRN_NORMALIZATION_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_normalization_kernels {
    int placeholder;
} cairn_normalization_kernels;

#endif
