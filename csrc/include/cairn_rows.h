// SPDX-License-Identifier: Apache-2.0
/// Operations that pick, place and average rows.

#ifndef CAIRN_ROWS_H
#define CAIRN_ROWS_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// y[t, .] = table[ids[t], .], widened to fp32.
///
/// - Shapes: ids [rows], table [vocabulary, width] of `dtype`, y [rows, width].
/// - Fails:  CAIRN_STATUS_INVALID_ARGUMENT when an id is not in 0..<vocabulary.
CAIRN_CHECKED cairn_status cairn_embedding_forward(cairn_context *context, size_t rows,
                                                   size_t width, size_t vocabulary,
                                                   const int32_t *ids, const void *table,
                                                   cairn_dtype dtype, float *y);

/// d_table[ids[t], .] += dy[t, .], rows in order, in groups.
///
/// Only the rows that occur in `ids` are touched in `open`; a finished group is added to `sum`
/// and cleared from `open` row by row, so `open` is all zero whenever no group is suspended.
CAIRN_CHECKED cairn_status cairn_embedding_gradient(cairn_context *context,
                                                    const cairn_partition *partition, size_t width,
                                                    size_t vocabulary, const int32_t *ids,
                                                    const float *dy, cairn_gradient d_table);

/// y[i, .] = x[indices[i], .]. - Shapes: indices [count], x [rows, width], y [count, width].
CAIRN_CHECKED cairn_status cairn_gather_rows(cairn_context *context, size_t count, size_t rows,
                                             size_t width, const uint32_t *indices, const float *x,
                                             float *y);

/// dx = 0, then dx[indices[i], .] += dy[i, .], i ascending. Every row of dx is written.
CAIRN_CHECKED cairn_status cairn_scatter_rows(cairn_context *context, size_t count, size_t rows,
                                              size_t width, const uint32_t *indices,
                                              const float *dy, float *dx);

/// y[s, .] = mean of the rows of sequence s; zeros for an empty one.
///
/// - Shapes: offsets [sequences + 1], x [rows, width], y [sequences, width].
/// - Numerics: rows are added in order, then divided by their number.
CAIRN_CHECKED cairn_status cairn_mean_rows_forward(cairn_context *context, size_t sequences,
                                                   size_t width, const uint32_t *offsets,
                                                   const float *x, float *y);

/// dx[t, .] = dy[s, .] / (rows of s) for every row t of sequence s.
CAIRN_CHECKED cairn_status cairn_mean_rows_backward(cairn_context *context, size_t sequences,
                                                    size_t width, const uint32_t *offsets,
                                                    const float *dy, float *dx);

#pragma clang assume_nonnull end

#endif
