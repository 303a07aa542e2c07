// SPDX-License-Identifier: Apache-2.0
/// A tile of query rows: packed column by column, and which keys its rows see.
///
/// A row is one query of one head. Rows lie side by side in vectors, so the maximum, the sum and
/// the exponentials of sixteen rows need no sum over lanes, and keys and values are read where they
/// are, a number at a time. Rows that fill up the last vector repeat the last row; what comes of
/// them is never written.

enum { KEYS = CAIRN_ATTENTION_KEYS };

/// Keys first ..< last, in tiles counted from the start of the sequence.
typedef struct key_range {
    size_t first, last;
} key_range;

/// Scratch memory of a task, and the tile of rows in it.
typedef struct attention_tile {
    size_t rows, padded;  ///< Rows of this tile, and that up to whole vectors.
    float *q, *out, *gradient;  ///< [head_dim, padded]: q, o or dq, d_o.
    float *scores, *slopes;     ///< [KEYS, padded]: s or p, ds.
    float *q_rows, *gradient_rows;  ///< [padded, head_dim], where rows do not lie at one stride.
    float *maxima, *sums, *deltas, *log_sums;  ///< [padded]
    int32_t *low, *high;                       ///< [padded]: a row sees the keys low ..< high.
    size_t *offsets;  ///< [padded]: where a row starts in q, from the head's first element.
} attention_tile;

static attention_tile make_tile(const cairn_attention_head *head, float *scratch) {
    const size_t stride = cairn_attention_padded_rows(head->group), depth = head->head_dim;
    attention_tile tile = {0};
    tile.q = scratch, scratch += depth * stride;
    tile.out = scratch, scratch += depth * stride;
    tile.gradient = scratch, scratch += depth * stride;
    tile.scores = scratch, scratch += KEYS * stride;
    tile.slopes = scratch, scratch += KEYS * stride;
    tile.maxima = scratch, scratch += stride;
    tile.sums = scratch, scratch += stride;
    tile.deltas = scratch, scratch += stride;
    tile.log_sums = scratch, scratch += stride;
    tile.low = (int32_t *)scratch, scratch += stride;
    tile.high = (int32_t *)scratch, scratch += stride;
    tile.offsets = (size_t *)scratch, scratch += 2 * stride;
    tile.q_rows = scratch, scratch += depth * stride;
    tile.gradient_rows = scratch;
    return tile;
}

/// Notes for queries begin ..< end where each row lies and which keys it sees.
static void set_rows(const cairn_attention_head *head, size_t begin, size_t end,
                     attention_tile *tile) {
    size_t row = 0;
    for (size_t query = begin; query < end; query++) {
        const size_t position = head->positions[query];
        size_t low = 0, high = head->keys;
        if (head->causal) {
            if (position < high) high = position + 1;
            if (head->window > 0 && position >= head->window) low = position + 1 - head->window;
            if (low > high) low = high;
        }
        for (size_t h = 0; h < head->group; h++, row++) {
            tile->low[row] = (int32_t)low;
            tile->high[row] = (int32_t)high;
            tile->offsets[row] = query * head->query_stride + h * head->head_dim;
        }
    }
    tile->rows = row;
    tile->padded = (row + LANES - 1) / LANES * LANES;
    for (; row < tile->padded; row++) {
        tile->low[row] = tile->low[row - 1];
        tile->high[row] = tile->high[row - 1];
        tile->offsets[row] = tile->offsets[row - 1];
    }
}

/// The keys that any of the rows first ..< last sees, or with `all` that all of them see.
static key_range seen_keys(const cairn_attention_head *head, const attention_tile *tile,
                           size_t first, size_t last, bool all) {
    if (!head->causal) return (key_range){0, head->keys};
    int32_t low = tile->low[first], high = tile->high[first];
    if (!all) {
        // An empty range takes no part in the union.
        low = INT32_MAX;
        high = 0;
    }
    for (size_t i = first; i < last; i++) {
        const int32_t begin = tile->low[i], end = tile->high[i];
        if (all) {
            low = begin > low ? begin : low;
            high = end < high ? end : high;
        } else if (begin < end) {
            low = begin < low ? begin : low;
            high = end > high ? end : high;
        }
    }
    return low < high ? (key_range){(size_t)low, (size_t)high} : (key_range){0, 0};
}

/// The part of a range that lies in another.
CAIRN_INLINE key_range intersect(key_range a, key_range b) {
    const size_t first = a.first > b.first ? a.first : b.first;
    const size_t last = a.last < b.last ? a.last : b.last;
    return first < last ? (key_range){first, last} : (key_range){b.first, b.first};
}

typedef float v8 __attribute__((ext_vector_type(8)));
typedef float v8_unaligned __attribute__((ext_vector_type(8), aligned(4)));

/// Eight vectors of eight, transposed in place.
CAIRN_INLINE void transpose_eight(v8 r[8]) {
    v8 pairs[8], quads[8];
    for (size_t i = 0; i < 4; i++) {
        const v8 a = r[2 * i], b = r[2 * i + 1];
        pairs[2 * i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
        pairs[2 * i + 1] = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (size_t i = 0; i < 4; i++) {
        const v8 a = pairs[i / 2 * 4 + i % 2], b = pairs[i / 2 * 4 + i % 2 + 2];
        quads[i / 2 * 4 + i % 2 * 2] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
        quads[i / 2 * 4 + i % 2 * 2 + 1] =
            __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (size_t i = 0; i < 4; i++) {
        const v8 a = quads[i], b = quads[i + 4];
        r[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
        r[i + 4] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

/// columns[d, i] = row i, element d of [queries, heads * head_dim].
static void pack_columns(const cairn_attention_head *head, const attention_tile *tile,
                         const float *source, float *columns) {
    const size_t whole = head->head_dim / 8 * 8;
    for (size_t i = 0; i < tile->padded; i += 8) {
        for (size_t d = 0; d < whole; d += 8) {
            v8 r[8];
            for (size_t l = 0; l < 8; l++)
                r[l] = *(const v8_unaligned *)(source + tile->offsets[i + l] + d);
            transpose_eight(r);
            for (size_t l = 0; l < 8; l++)
                *(v8_unaligned *)(columns + (d + l) * tile->padded + i) = r[l];
        }
        for (size_t d = whole; d < head->head_dim; d++)
            for (size_t l = 0; l < 8; l++)
                columns[d * tile->padded + i + l] = source[tile->offsets[i + l] + d];
    }
}

/// The inverse of pack_columns, for the rows that the tile really has.
static void unpack_columns(const cairn_attention_head *head, const attention_tile *tile,
                           const float *columns, float *destination) {
    const size_t whole = head->head_dim / 8 * 8;
    for (size_t i = 0; i < tile->rows; i += 8) {
        const size_t left = tile->rows - i < 8 ? tile->rows - i : 8;
        for (size_t d = 0; d < whole; d += 8) {
            v8 r[8];
            for (size_t l = 0; l < 8; l++)
                r[l] = *(const v8_unaligned *)(columns + (d + l) * tile->padded + i);
            transpose_eight(r);
            for (size_t l = 0; l < left; l++)
                *(v8_unaligned *)(destination + tile->offsets[i + l] + d) = r[l];
        }
        for (size_t d = whole; d < head->head_dim; d++)
            for (size_t l = 0; l < left; l++)
                destination[tile->offsets[i + l] + d] = columns[d * tile->padded + i + l];
    }
}

/// Rows of the tile at one stride.
typedef struct row_matrix {
    const float *data;
    size_t stride;
} row_matrix;

/// The rows where they are, or where heads share keys, copied to `rows`.
static row_matrix pack_rows(const cairn_attention_head *head, const attention_tile *tile,
                            const float *source, float *rows) {
    if (head->group == 1) return (row_matrix){source + tile->offsets[0], head->query_stride};
    for (size_t i = 0; i < tile->rows; i++)
        memcpy(rows + i * head->head_dim, source + tile->offsets[i],
               head->head_dim * sizeof(float));
    return (row_matrix){rows, head->head_dim};
}

CAIRN_INLINE void clear_floats(float *x, size_t count) {
    for (size_t i = 0; i < count; i += LANES) v16_store_some(x + i, v16_zero(), count - i);
}
