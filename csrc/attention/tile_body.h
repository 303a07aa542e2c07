// SPDX-License-Identifier: Apache-2.0
/// A tile of query rows, its operands, and which keys its rows see.
///
/// A row is one query of one head. For scores, rows lie side by side in vectors, so the maximum,
/// the sum and the exponentials of sixteen rows need no sum over lanes. Rows that fill up the last
/// vector repeat the last row; what comes of them is never written. Outputs and gradients lie row
/// by row, as in memory.

/// Keys first ..< last, in tiles counted from the start of the sequence.
typedef struct key_range {
    size_t first, last;
} key_range;

/// Scratch memory of a task, and the tile of rows in it.
typedef struct attention_tile {
    fetch *next;  ///< What is asked for meanwhile.
    size_t rows, padded;  ///< Rows of this tile, and that up to whole vectors.
    size_t wide;          ///< head_dim up to whole vectors; what is behind head_dim is 0.
    int32_t *low, *high;  ///< [padded]: a row sees the keys low ..< high.
    size_t *offsets;  ///< [padded]: where a row starts in q, from the head's first element.
    float *maxima, *sums, *factors, *deltas, *log_sums;  ///< [padded]
    float *keys, *values;           ///< [KEYS, wide]: k and v of a tile of keys.
    float *q, *gradient;            ///< [head_dim, padded]: q, d_o.
    float *q_rows, *gradient_rows;  ///< [rows, wide]: q, d_o.
    float *out;                     ///< [rows, wide]: o or dq.
    float *scores, *slopes;         ///< [KEYS, padded]: s or p, ds.
} attention_tile;

/// Takes scratch memory for so many floats; cache lines between arrays keep them from starting at
/// one place of a page, where a load waits for a store to the other.
CAIRN_INLINE float *take_floats(float **scratch, size_t count) {
    float *taken = *scratch;
    *scratch += (count + LANES - 1) / LANES * LANES + CAIRN_ATTENTION_SKEW;
    return taken;
}

/// The tile of queries begin ..< end: where each row lies and which keys it sees.
static attention_tile make_tile(const cairn_attention_head *head, size_t begin, size_t end,
                                fetch *next, float *scratch) {
    const size_t rows = (end - begin) * head->group, padded = (rows + LANES - 1) / LANES * LANES;
    const size_t depth = head->head_dim, wide = (depth + LANES - 1) / LANES * LANES;
    const size_t keys = head->keys < KEYS ? head->keys : KEYS;
    attention_tile tile = {.next = next, .rows = rows, .padded = padded, .wide = wide};
    tile.low = (int32_t *)take_floats(&scratch, padded);
    tile.high = (int32_t *)take_floats(&scratch, padded);
    tile.offsets = (size_t *)take_floats(&scratch, 2 * padded);
    tile.maxima = take_floats(&scratch, padded);
    tile.sums = take_floats(&scratch, padded);
    tile.factors = take_floats(&scratch, padded);
    tile.deltas = take_floats(&scratch, padded);
    tile.log_sums = take_floats(&scratch, padded);
    tile.keys = take_floats(&scratch, keys * wide);
    tile.values = take_floats(&scratch, keys * wide);
    tile.q = take_floats(&scratch, depth * padded);
    tile.scores = take_floats(&scratch, keys * padded);
    tile.out = take_floats(&scratch, rows * wide);
    tile.gradient = take_floats(&scratch, depth * padded);
    tile.slopes = take_floats(&scratch, keys * padded);
    tile.q_rows = take_floats(&scratch, rows * wide);
    tile.gradient_rows = take_floats(&scratch, rows * wide);
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
            tile.low[row] = (int32_t)low;
            tile.high[row] = (int32_t)high;
            tile.offsets[row] = query * head->query_stride + h * head->head_dim;
        }
    }
    for (; row < tile.padded; row++) {
        tile.low[row] = tile.low[row - 1];
        tile.high[row] = tile.high[row - 1];
        tile.offsets[row] = tile.offsets[row - 1];
    }
    return tile;
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

CAIRN_INLINE void copy_row(const float *from, float *to, size_t depth) {
    for (size_t d = 0; d < depth; d += LANES) v16_store(to + d, v16_load_some(from + d, depth - d));
}

/// Rows at one stride, in whole vectors.
typedef struct row_matrix {
    const float *data;
    size_t stride;
} row_matrix;

/// The rows of q or d_o where they are; copied to `rows` where heads share keys.
static row_matrix pack_rows(const cairn_attention_head *head, const attention_tile *tile,
                            const float *source, float *rows) {
    if (head->group == 1) return (row_matrix){source + tile->offsets[0], head->query_stride};
    for (size_t i = 0; i < tile->rows; i++)
        copy_row(source + tile->offsets[i], rows + i * tile->wide, head->head_dim);
    return (row_matrix){rows, tile->wide};
}

/// Keys of k or v where they are; copied to `rows` where heads end in a part of a vector.
static row_matrix pack_keys(const cairn_attention_head *head, const attention_tile *tile,
                            key_range keys, const float *source, float *rows) {
    source += keys.first * head->key_stride;
    if (tile->wide == head->head_dim) return (row_matrix){source, head->key_stride};
    for (size_t j = 0; j < keys.last - keys.first; j++, source += head->key_stride)
        copy_row(source, rows + j * tile->wide, head->head_dim);
    return (row_matrix){rows, tile->wide};
}

/// Writes the rows of `out` to where they belong, times their factors where there are any.
static void unpack_rows(const cairn_attention_head *head, const attention_tile *tile,
                        const float *factors, float *destination) {
    for (size_t i = 0; i < tile->rows; i++)
        for (size_t d = 0; d < head->head_dim; d += LANES) {
            const v16 x = v16_load(tile->out + i * tile->wide + d);
            v16_store_some(destination + tile->offsets[i] + d,
                           factors ? x * v16_set(factors[i]) : x, head->head_dim - d);
        }
}

CAIRN_INLINE void clear_floats(float *x, size_t count) {
    for (size_t i = 0; i < count; i += LANES) v16_store_some(x + i, v16_zero(), count - i);
}
