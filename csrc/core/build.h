// SPDX-License-Identifier: Apache-2.0
/// All kernel bodies and their row of the dispatch table, under the target of the including file.
///
/// Before: system headers are included (they must not see the target attribute) and CAIRN_ROW names
/// the row.

#include "core/simd.h"

#include "math/math_body.h"

#include "attention/attention_body.h"
#include "elementwise/elementwise_body.h"
#include "loss/loss_body.h"
#include "matmul/matmul_body.h"
#include "normalization/normalization_body.h"
#include "optimizer/optimizer_body.h"
#include "quantized/int8_body.h"
#include "quantized/quantized_body.h"
#include "random/random_body.h"
#include "rows/rows_body.h"

extern const cairn_kernels CAIRN_ROW;
const cairn_kernels CAIRN_ROW = {
    .matmul = &matmul_kernels,
    .quantized = &quantized_kernels,
    .attention = &attention_kernels,
    .normalization = &normalization_kernels,
    .elementwise = &elementwise_kernels,
    .rows = &rows_kernels,
    .loss = &loss_kernels,
    .optimizer = &optimizer_kernels,
    .random = &random_kernels,
};
