// SPDX-License-Identifier: Apache-2.0
/// Tiles of queries and keys: which rows see which keys, packing, scores.

enum { KEYS = CAIRN_ATTENTION_KEYS };

/// Scratch memory of a task, and the tile of rows in it.
typedef struct attention_tile {
    size_t rows, width;  ///< Rows (query, head), and head_dim rounded up to whole vectors.
    size_t first_key, last_key;  ///< Keys that any row sees: first_key ..< last_key.
    float *q, *out, *gradient;   ///< [rows, width]: q, o or dq, d_o.
    float *scores, *slopes;      ///< [rows, KEYS]: s or p, ds.
    float *keys, *values;        ///< [width, KEYS]: k and v of the tile, transposed.
    float *maxima, *sums, *deltas, *log_sums;  ///< [rows]
    uint32_t *low, *high;                      ///< [rows]: the keys that a row sees, low ..< high.
    float *partial;                            ///< [rows, 16]: sums of exponentials, by lane.
} attention_tile;

static attention_tile make_tile(const cairn_attention_head *head, float *scratch) {
    const size_t rows = cairn_attention_query_tile(head->group) * head->group;
    const size_t padded = (rows + LANES - 1) / LANES * LANES;
    const size_t width = (head->head_dim + LANES - 1) / LANES * LANES;
    attention_tile tile = {.width = width};
    tile.q = scratch, scratch += padded * width;
    tile.out = scratch, scratch += padded * width;
    tile.gradient = scratch, scratch += padded * width;
    tile.scores = scratch, scratch += padded * KEYS;
    tile.slopes = scratch, scratch += padded * KEYS;
    tile.keys = scratch, scratch += width * KEYS;
    tile.values = scratch, scratch += width * KEYS;
    tile.partial = scratch, scratch += padded * LANES;
    tile.maxima = scratch, scratch += padded;
    tile.sums = scratch, scratch += padded;
    tile.deltas = scratch, scratch += padded;
    tile.log_sums = scratch, scratch += padded;
    tile.low = (uint32_t *)scratch, scratch += padded;
    tile.high = (uint32_t *)scratch;
    return tile;
}

/// Notes for each row which keys it sees, and for the tile which any does.
static void set_ranges(const cairn_attention_head *head, size_t begin, size_t end,
                       attention_tile *tile) {
    tile->rows = (end - begin) * head->group;
    tile->first_key = head->keys;
    tile->last_key = 0;
    for (size_t i = 0; i < tile->rows; i++) {
        const size_t position = head->positions[begin + i / head->group];
        size_t low = 0, high = head->keys;
        if (head->causal) {
            if (position < high) high = position + 1;
            if (head->window > 0 && position >= head->window) low = position + 1 - head->window;
            if (low > high) low = high;
        }
        tile->low[i] = (uint32_t)low;
        tile->high[i] = (uint32_t)high;
        if (low < high && low < tile->first_key) tile->first_key = low;
        if (low < high && high > tile->last_key) tile->last_key = high;
    }
}

/// Copies the rows of queries begin ..< begin + rows / group from [queries, heads * head_dim].
static void pack_rows(const cairn_attention_head *head, size_t begin, const attention_tile *tile,
                      const float *source, float *rows) {
    for (size_t i = 0; i < tile->rows; i++) {
        const float *row = source + (begin + i / head->group) * head->query_stride
            + i % head->group * head->head_dim;
        for (size_t j = 0; j < tile->width; j += LANES)
            v16_store(rows + i * tile->width + j, v16_load_some(row + j, head->head_dim - j));
    }
}

/// The inverse of pack_rows.
static void unpack_rows(const cairn_attention_head *head, size_t begin, const attention_tile *tile,
                        const float *rows, float *destination) {
    for (size_t i = 0; i < tile->rows; i++) {
        float *row = destination + (begin + i / head->group) * head->query_stride
            + i % head->group * head->head_dim;
        memcpy(row, rows + i * tile->width, head->head_dim * sizeof(float));
    }
}

/// transposed[d, j] = source[j, d], zeros for j in count ..< KEYS.
static void transpose_keys(const cairn_attention_head *head, size_t count, const float *source,
                           float *transposed) {
    enum { SIDE = 8 };
    for (size_t j = 0; j < KEYS; j += SIDE)
        for (size_t d = 0; d < head->head_dim; d++) {
            float lanes[SIDE];
            for (size_t i = 0; i < SIDE; i++)
                lanes[i] = j + i < count ? source[(j + i) * head->key_stride + d] : 0;
            memcpy(transposed + d * KEYS + j, lanes, sizeof lanes);
        }
}

/// The part of a row's keys that lies in the tile of keys at `first`, counted from there.
CAIRN_INLINE cairn_range row_range(const attention_tile *tile, size_t row, size_t first,
                                   size_t count) {
    const size_t low = tile->low[row], high = tile->high[row];
    const size_t begin = low > first ? low - first : 0;
    const size_t end = high > first ? (high - first < count ? high - first : count) : 0;
    return (cairn_range){begin < end ? begin : end, end};
}

/// All-ones in the lanes j ..< j + 16 that lie in a range.
CAIRN_INLINE v16i lanes_in_range(cairn_range range, size_t j) {
    const v16i index = (v16i){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + (int32_t)j;
    return (index >= (int32_t)range.begin) & (index < (int32_t)range.end);
}

/// out[i, .] += sum over the keys j of row i, ascending, of weights[i, j] source[j, .].
///
/// Keys that a row does not see are not multiplied by 0: a NaN there is none of its business.
static void add_weighted_keys(const cairn_attention_head *head, const attention_tile *tile,
                              size_t first, size_t count, const float *weights,
                              const float *source, float *out) {
    for (size_t i = 0; i < tile->rows; i += BLOCK) {
        const size_t rows = tile->rows - i < BLOCK ? tile->rows - i : BLOCK;
        cairn_range all = {0, count}, each[BLOCK];
        for (size_t r = 0; r < rows; r++) {
            each[r] = row_range(tile, i + r, first, count);
            if (each[r].begin > all.begin) all.begin = each[r].begin;
            if (each[r].end < all.end) all.end = each[r].end;
        }
        if (all.begin > all.end) all.end = all.begin;
        const left_operand a = {weights + i * KEYS, KEYS, 1};
        float *c = out + i * tile->width;
        for (size_t r = 0; r < rows; r++) {
            const size_t end = each[r].end < all.begin ? each[r].end : all.begin;
            const left_operand one = {a.data + r * KEYS + each[r].begin, KEYS, 1};
            if (each[r].begin < end)
                multiply_rows(1, end - each[r].begin, one,
                              source + each[r].begin * head->key_stride, head->key_stride,
                              head->head_dim, true, c + r * tile->width, tile->width);
        }
        if (all.begin < all.end) {
            const left_operand joint = {a.data + all.begin, KEYS, 1};
            multiply_rows(rows, all.end - all.begin, joint, source + all.begin * head->key_stride,
                          head->key_stride, head->head_dim, true, c, tile->width);
        }
        for (size_t r = 0; r < rows; r++) {
            const size_t begin = each[r].begin > all.end ? each[r].begin : all.end;
            const left_operand one = {a.data + r * KEYS + begin, KEYS, 1};
            if (begin < each[r].end)
                multiply_rows(1, each[r].end - begin, one, source + begin * head->key_stride,
                              head->key_stride, head->head_dim, true, c + r * tile->width,
                              tile->width);
        }
    }
}
