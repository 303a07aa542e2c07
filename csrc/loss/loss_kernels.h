// SPDX-License-Identifier: Apache-2.0
/// Signatures of the loss kernels that each instruction set is built with.

#ifndef CAIRN_LOSS_KERNELS_H
#define CAIRN_LOSS_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_loss_kernels {
    int placeholder;
} cairn_loss_kernels;

#endif
