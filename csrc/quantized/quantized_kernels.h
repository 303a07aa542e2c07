// SPDX-License-Identifier: Apache-2.0
/// What each instruction set is built with for weights in 8 and 4 bits.

#ifndef CAIRN_QUANTIZED_KERNELS_H
#define CAIRN_QUANTIZED_KERNELS_H

#include "cairn_types.h"

/// A planned product with codes: C[t, o] = (sum * row_scales[t]) * w.scales[o] + bias[o].
typedef struct cairn_int8_plan {
    const cairn_int8 *w;
    size_t m, n;
    const float *x;  ///< [m, w->columns]
    const float *bias;
    float *c;  ///< [m, n]
    void *rows;         ///< [m], each of `row_bytes`: codes of x as the kernel reads them.
    float *row_scales;  ///< [m]
    char *panels;       ///< `panel_bytes` per worker.
    size_t row_bytes, panel_bytes;
    size_t row_units;  ///< Parts of the rows; a unit is one of them times a tile of columns.
} cairn_int8_plan;

typedef struct cairn_quantized_kernels {
    size_t mr, nr;      ///< The register tile.
    size_t code_bytes;  ///< Of a code of x.
    void (*int8_rows)(const void *plan, size_t tile, size_t worker);  ///< A `cairn_task`.
    void (*int8_unit)(const void *plan, size_t unit, size_t worker);
    /// Rows begin ..< end of a weight into codes, scales and sums.
    void (*quantize_int8)(size_t begin, size_t end, size_t columns, size_t stride, const void *w,
                          cairn_dtype dtype, int8_t *codes, float *scales, int32_t *sums);
    /// A group of a weight of `count` elements.
    void (*quantize_nf4)(size_t group, size_t count, const void *w, cairn_dtype dtype,
                         uint8_t *codes, int8_t *scales, float *groups);
} cairn_quantized_kernels;

enum {
    CAIRN_INT8_ROWS = 16,     ///< Rows of x that one task turns into codes.
    CAIRN_INT8_STRIDE = 64,   ///< Rows of codes are whole lines.
    CAIRN_INT8_MOST = 133144  ///< Columns of which no sum of products leaves 32 bits.
};

#endif
