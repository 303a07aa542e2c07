// SPDX-License-Identifier: Apache-2.0
/// Signatures of the attention kernels that each instruction set is built with.

#ifndef CAIRN_ATTENTION_KERNELS_H
#define CAIRN_ATTENTION_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_attention_kernels {
    int placeholder;
} cairn_attention_kernels;

#endif
