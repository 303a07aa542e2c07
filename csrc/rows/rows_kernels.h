// SPDX-License-Identifier: Apache-2.0
/// Signatures of the row kernels that each instruction set is built with.

#ifndef CAIRN_ROWS_KERNELS_H
#define CAIRN_ROWS_KERNELS_H

#include "cairn_rows.h"

/// Arguments are those of the public functions, cut to the rows or to columns begin..<end.
typedef struct cairn_rows_kernels {
    void (*embedding_forward)(size_t rows, size_t width, const int32_t *ids, const void *table,
                              cairn_dtype dtype, float *y);
    void (*embedding_gradient)(const cairn_partition *partition, size_t width, size_t vocabulary,
                               size_t begin, size_t end, const int32_t *ids, const float *dy,
                               cairn_gradient d_table);
    void (*scatter_rows)(size_t count, size_t rows, size_t width, size_t begin, size_t end,
                         const uint32_t *indices, const float *dy, float *dx);
    /// The mean of `rows` rows.
    void (*mean_rows_forward)(size_t rows, size_t width, const float *x, float *y);
    void (*mean_rows_backward)(size_t rows, size_t width, const float *dy, float *dx);
} cairn_rows_kernels;

#endif
