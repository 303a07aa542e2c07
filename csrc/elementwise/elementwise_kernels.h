// SPDX-License-Identifier: Apache-2.0
/// Signatures of the elementwise kernels that each instruction set is built with.

#ifndef CAIRN_ELEMENTWISE_KERNELS_H
#define CAIRN_ELEMENTWISE_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_elementwise_kernels {
    int placeholder;
} cairn_elementwise_kernels;

#endif
