// SPDX-License-Identifier: Apache-2.0
/// Which kernels an instruction set has: one group per operation folder.

#ifndef CAIRN_KERNELS_H
#define CAIRN_KERNELS_H

#include "attention/attention_kernels.h"
#include "elementwise/elementwise_kernels.h"
#include "loss/loss_kernels.h"
#include "matmul/matmul_kernels.h"
#include "normalization/normalization_kernels.h"
#include "optimizer/optimizer_kernels.h"
#include "quantized/quantized_kernels.h"
#include "random/random_kernels.h"
#include "rows/rows_kernels.h"

/// A row of the dispatch table. Every build of the kernel sources defines one.
typedef struct cairn_kernels {
    const cairn_matmul_kernels *matmul;
    const cairn_quantized_kernels *quantized;
    const cairn_attention_kernels *attention;
    const cairn_normalization_kernels *normalization;
    const cairn_elementwise_kernels *elementwise;
    const cairn_rows_kernels *rows;
    const cairn_loss_kernels *loss;
    const cairn_optimizer_kernels *optimizer;
    const cairn_random_kernels *random;
} cairn_kernels;

#endif
