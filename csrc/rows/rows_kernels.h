// SPDX-License-Identifier: Apache-2.0
/// Signatures of the rows kernels that each instruction set is built with.

#ifndef CAIRN_ROWS_KERNELS_H
#define CAIRN_ROWS_KERNELS_H

#include "cairn_types.h"

typedef struct cairn_rows_kernels {
    int placeholder;
} cairn_rows_kernels;

#endif
