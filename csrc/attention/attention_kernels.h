// SPDX-License-Identifier: Apache-2.0
/// Signatures of the attention kernels that each instruction set is built with.

#ifndef CAIRN_ATTENTION_KERNELS_H
#define CAIRN_ATTENTION_KERNELS_H

#include "cairn_attention.h"

/// Keys of a tile, and rows that a tile of queries has at most (unless one query has more heads).
/// A row is one query of one head; rows are ordered by query, then by head.
enum { CAIRN_ATTENTION_KEYS = 64, CAIRN_ATTENTION_ROWS = 96 };

/// One sequence and one head of keys and values; pointers stand at its first element.
typedef struct cairn_attention_head {
    size_t group;  ///< Query heads that read this head.
    size_t head_dim;
    size_t query_stride, key_stride, sum_stride;  ///< Elements from token to token.
    size_t queries, keys;
    float scale;
    bool causal;
    size_t window;
    size_t begin, end;          ///< The queries that are computed: backward all of them.
    const uint32_t *positions;  ///< [queries]
    const float *q, *k, *v;
    const float *o, *log_sums, *d_o;      ///< Backward only.
    float *o_out, *log_sums_out;          ///< Forward only.
    float *dq, *dk, *dv;                  ///< Backward only.
} cairn_attention_head;

typedef struct cairn_attention_kernels {
    /// The queries of a head, at most as many as a tile has; `next`, if any, is fetched meanwhile.
    void (*forward)(const cairn_attention_head *head, const cairn_attention_head *next,
                    float *scratch);
    /// All queries and keys of a head, `query_tile` queries at a time.
    void (*backward)(const cairn_attention_head *head, const cairn_attention_head *next,
                     size_t query_tile, float *scratch);
    void (*rope)(size_t rows, size_t heads, size_t half, const uint32_t *positions,
                 const float *cosine, const float *sine, bool inverse, const float *x, float *y);
} cairn_attention_kernels;

/// Queries of a tile: as many as fill its rows.
static inline size_t cairn_attention_query_tile(size_t group) {
    return group < CAIRN_ATTENTION_ROWS ? CAIRN_ATTENTION_ROWS / group : 1;
}

/// Rows of a tile, filled up to whole vectors.
static inline size_t cairn_attention_padded_rows(size_t group) {
    return (cairn_attention_query_tile(group) * group + 15) / 16 * 16;
}

/// Floats between two arrays of the scratch memory, and arrays that it has at most.
enum { CAIRN_ATTENTION_SKEW = 16, CAIRN_ATTENTION_ARRAYS = 17 };

/// Floats that a task of either pass needs: q and d_o by column; those, and o or dq, by row; scores
/// twice; seven numbers and an offset of two words per row; keys and values.
static inline size_t cairn_attention_scratch(size_t group, size_t head_dim) {
    const size_t rows = cairn_attention_padded_rows(group), wide = (head_dim + 15) / 16 * 16;
    return rows * (5 * wide + 2 * CAIRN_ATTENTION_KEYS + 9) + 2 * CAIRN_ATTENTION_KEYS * wide
        + CAIRN_ATTENTION_ARRAYS * (16 + CAIRN_ATTENTION_SKEW);
}

#endif
