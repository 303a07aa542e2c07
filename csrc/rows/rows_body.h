// SPDX-License-Identifier: Apache-2.0
/// The row kernels, written once; every build_*.c includes this file under its own target.

#include "math/partition.h"

static void embedding_forward(size_t rows, size_t width, const int32_t *ids, const void *table,
                              cairn_dtype dtype, float *y) {
    for (size_t t = 0; t < rows; t++)
        for (size_t j = 0; j < width; j += LANES) {
            const size_t index = (size_t)ids[t] * width + j;
            v16_store_some(y + t * width + j, v16_load_weights(table, dtype, index, width - j),
                           width - j);
        }
}

/// to[j] += from[j] for j in begin..<end.
CAIRN_INLINE void add_row(float *to, const float *from, size_t begin, size_t end) {
    for (size_t j = begin; j < end; j += LANES) {
        const size_t left = end - j;
        v16_store_some(to + j, v16_load_some(to + j, left) + v16_load_some(from + j, left), left);
    }
}

/// Adds a row that was open to the sum and clears it.
CAIRN_INLINE void close_row(cairn_gradient gradient, size_t row, size_t width, size_t begin,
                            size_t end) {
    add_row(gradient.sum + row * width, gradient.open + row * width, begin, end);
    memset(gradient.open + row * width + begin, 0, (end - begin) * sizeof(float));
}

static void embedding_gradient(const cairn_partition *partition, size_t width, size_t vocabulary,
                               size_t begin, size_t end, const int32_t *ids, const float *dy,
                               cairn_gradient d_table) {
    for (size_t g = 0; g < partition->group_count; g++) {
        const cairn_group group = cairn_partition_group(partition, g);
        for (size_t t = group.begin; t < group.end; t++)
            add_row(d_table.open + (size_t)ids[t] * width, dy + t * width, begin, end);
        if (group.suspended) continue;
        if (group.resumed) {
            // Earlier micro-batches opened rows that these ids do not name.
            for (size_t row = 0; row < vocabulary; row++)
                close_row(d_table, row, width, begin, end);
        } else {
            // A second visit of a row adds the zeros that the first one left.
            for (size_t t = group.begin; t < group.end; t++)
                close_row(d_table, (size_t)ids[t], width, begin, end);
        }
    }
}

static void scatter_rows(size_t count, size_t rows, size_t width, size_t begin, size_t end,
                         const uint32_t *indices, const float *dy, float *dx) {
    for (size_t t = 0; t < rows; t++)
        memset(dx + t * width + begin, 0, (end - begin) * sizeof(float));
    for (size_t i = 0; i < count; i++)
        add_row(dx + (size_t)indices[i] * width, dy + i * width, begin, end);
}

static void mean_rows_forward(size_t rows, size_t width, const float *x, float *y) {
    for (size_t j = 0; j < width; j += LANES) {
        v16 sum = v16_zero();
        for (size_t t = 0; t < rows; t++) sum += v16_load_some(x + t * width + j, width - j);
        v16_store_some(y + j, rows > 0 ? sum / v16_set((float)rows) : sum, width - j);
    }
}

static void mean_rows_backward(size_t rows, size_t width, const float *dy, float *dx) {
    for (size_t j = 0; j < width; j += LANES) {
        if (rows == 0) continue;
        const v16 share = v16_load_some(dy + j, width - j) / v16_set((float)rows);
        for (size_t t = 0; t < rows; t++) v16_store_some(dx + t * width + j, share, width - j);
    }
}

static const cairn_rows_kernels rows_kernels = {
    .embedding_forward = embedding_forward,
    .embedding_gradient = embedding_gradient,
    .scatter_rows = scatter_rows,
    .mean_rows_forward = mean_rows_forward,
    .mean_rows_backward = mean_rows_backward,
};
