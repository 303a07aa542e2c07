// SPDX-License-Identifier: Apache-2.0
/// The attention kernels, written once; every build_*.c includes this file under its own target.

#include "attention/multiply_body.h"
#include "attention/tile_body.h"

/// Whole vectors that hold `count` keys.
CAIRN_INLINE size_t padded_keys(size_t count) { return (count + LANES - 1) / LANES * LANES; }

/// From scores to weights exp(s - m), for one row and the tile's keys in `range`.
///
/// The running maximum m grows to that of the tile; sum and output so far shrink by exp(m - m').
static void soften_row(const attention_tile *tile, size_t row, cairn_range range, float scale) {
    float *s = tile->scores + row * KEYS, *partial = tile->partial + row * LANES;
    const v16 none = v16_set(-__builtin_inff());
    v16 largest = v16_set(tile->maxima[row]);
    const size_t begin = range.begin / LANES * LANES;
    for (size_t j = begin; j < range.end; j += LANES) {
        const v16 score =
            v16_select(lanes_in_range(range, j), v16_load(s + j) * v16_set(scale), none);
        largest = v16_max(largest, score);
        v16_store(s + j, score);
    }
    const float before = tile->maxima[row], maximum = v16_largest(largest);
    v16 sum = v16_load(partial);
    if (maximum != before) {
        const v16 shrink = v16_exp_bounded(v16_set(before - maximum));
        float *out = tile->out + row * tile->width;
        sum *= shrink;
        for (size_t j = 0; j < tile->width; j += LANES)
            v16_store(out + j, v16_load(out + j) * shrink);
    }
    for (size_t j = begin; j < range.end; j += LANES) {
        const v16 weight = v16_exp_bounded(v16_load(s + j) - v16_set(maximum));
        const v16 seen = (v16)(lanes_in_range(range, j) & (v16i)weight);
        sum += seen;
        v16_store(s + j, seen);
    }
    tile->maxima[row] = maximum;
    v16_store(partial, sum);
}

/// Divides by the sums and writes the logarithms; rows that saw no key give 0 and -inf.
static void finish_rows(const cairn_attention_head *head, size_t begin,
                        const attention_tile *tile) {
    for (size_t i = 0; i < tile->rows; i++) {
        const float sum = v16_sum(v16_load(tile->partial + i * LANES));
        const v16 inverse = v16_set(sum == 0 ? 0 : 1 / sum);
        float *out = tile->out + i * tile->width;
        tile->sums[i] = sum;
        for (size_t j = 0; j < tile->width; j += LANES)
            v16_store(out + j, v16_load(out + j) * inverse);
    }
    for (size_t i = 0; i < tile->rows; i += LANES)
        v16_store(tile->log_sums + i,
                  v16_load(tile->maxima + i) + v16_log(v16_load(tile->sums + i)));
    for (size_t i = 0; i < tile->rows; i++)
        head->log_sums_out[(begin + i / head->group) * head->sum_stride + i % head->group] =
            tile->log_sums[i];
    unpack_rows(head, begin, tile, tile->out, head->o_out);
}

static void attention_forward(const cairn_attention_head *head, size_t begin, size_t end,
                              float *scratch) {
    attention_tile tile = make_tile(head, scratch);
    set_ranges(head, begin, end, &tile);
    pack_rows(head, begin, &tile, head->q, tile.q);
    memset(tile.out, 0, tile.rows * tile.width * sizeof(float));
    memset(tile.partial, 0, tile.rows * LANES * sizeof(float));
    for (size_t i = 0; i < tile.rows; i++) tile.maxima[i] = -__builtin_inff();
    for (size_t i = tile.rows; i % LANES != 0; i++) tile.maxima[i] = tile.sums[i] = 0;

    for (size_t first = tile.first_key / KEYS * KEYS; first < tile.last_key; first += KEYS) {
        const size_t count = tile.last_key - first < KEYS ? tile.last_key - first : KEYS;
        const left_operand q = {tile.q, tile.width, 1};
        transpose_keys(head, count, head->k + first * head->key_stride, tile.keys);
        multiply_all(tile.rows, head->head_dim, q, tile.keys, KEYS, padded_keys(count), false,
                     tile.scores, KEYS);
        for (size_t i = 0; i < tile.rows; i++) {
            const cairn_range range = row_range(&tile, i, first, count);
            if (range.begin < range.end) soften_row(&tile, i, range, head->scale);
        }
        add_weighted_keys(head, &tile, first, count, tile.scores,
                          head->v + first * head->key_stride, tile.out);
    }
    finish_rows(head, begin, &tile);
}

/// delta = sum over d of d_o o of each row: the part of ds that the softmax takes back.
static void load_gradients(const cairn_attention_head *head, size_t begin,
                           const attention_tile *tile) {
    pack_rows(head, begin, tile, head->d_o, tile->gradient);
    pack_rows(head, begin, tile, head->o, tile->out);
    for (size_t i = 0; i < tile->rows; i++) {
        v16 sum = v16_zero();
        for (size_t j = 0; j < tile->width; j += LANES)
            sum = v16_fma(v16_load(tile->gradient + i * tile->width + j),
                          v16_load(tile->out + i * tile->width + j), sum);
        tile->deltas[i] = v16_sum(sum);
        tile->log_sums[i] =
            head->log_sums[(begin + i / head->group) * head->sum_stride + i % head->group];
    }
}

/// From s and d_o v^T to p = exp(s - log_sum) and ds = scale p (d_o v^T - delta); 0 if not seen.
static void differentiate_row(const attention_tile *tile, size_t row, cairn_range range,
                              size_t count, float scale) {
    float *s = tile->scores + row * KEYS, *d = tile->slopes + row * KEYS;
    const v16 log_sum = v16_set(tile->log_sums[row]), delta = v16_set(tile->deltas[row]);
    for (size_t j = 0; j < count; j += LANES) {
        const v16i seen = lanes_in_range(range, j);
        const v16 p = v16_exp_bounded(v16_load(s + j) * v16_set(scale) - log_sum);
        const v16 slope = (v16_load(d + j) - delta) * p * v16_set(scale);
        v16_store(s + j, (v16)(seen & (v16i)p));
        v16_store(d + j, (v16)(seen & (v16i)slope));
    }
}

/// One tile of queries against one tile of keys: adds to dq of the tile, and to dk and dv.
static void backward_tile(const cairn_attention_head *head, const attention_tile *tile,
                          size_t first, size_t count) {
    const size_t offset = first * head->key_stride, padded = padded_keys(count);
    const left_operand q = {tile->q, tile->width, 1}, g = {tile->gradient, tile->width, 1};
    transpose_keys(head, count, head->k + offset, tile->keys);
    transpose_keys(head, count, head->v + offset, tile->values);
    multiply_all(tile->rows, head->head_dim, q, tile->keys, KEYS, padded, false, tile->scores,
                 KEYS);
    multiply_all(tile->rows, head->head_dim, g, tile->values, KEYS, padded, false, tile->slopes,
                 KEYS);
    for (size_t i = 0; i < tile->rows; i++)
        differentiate_row(tile, i, row_range(tile, i, first, count), count, head->scale);
    add_weighted_keys(head, tile, first, count, tile->slopes, head->k + offset, tile->out);
    const left_operand p = {tile->scores, 1, KEYS}, ds = {tile->slopes, 1, KEYS};
    multiply_all(count, tile->rows, p, tile->gradient, tile->width, head->head_dim, true,
                 head->dv + offset, head->key_stride);
    multiply_all(count, tile->rows, ds, tile->q, tile->width, head->head_dim, true,
                 head->dk + offset, head->key_stride);
}

static void attention_backward(const cairn_attention_head *head, size_t query_tile,
                               float *scratch) {
    attention_tile tile = make_tile(head, scratch);
    for (size_t j = 0; j < head->keys; j++) {
        memset(head->dk + j * head->key_stride, 0, head->head_dim * sizeof(float));
        memset(head->dv + j * head->key_stride, 0, head->head_dim * sizeof(float));
    }
    for (size_t begin = 0; begin < head->queries; begin += query_tile) {
        const size_t left = head->queries - begin;
        set_ranges(head, begin, begin + (left < query_tile ? left : query_tile), &tile);
        pack_rows(head, begin, &tile, head->q, tile.q);
        load_gradients(head, begin, &tile);
        memset(tile.out, 0, tile.rows * tile.width * sizeof(float));
        for (size_t first = tile.first_key / KEYS * KEYS; first < tile.last_key; first += KEYS)
            backward_tile(head, &tile, first,
                          tile.last_key - first < KEYS ? tile.last_key - first : KEYS);
        unpack_rows(head, begin, &tile, tile.out, head->dq);
    }
}

static void rope(size_t rows, size_t heads, size_t half, const uint32_t *positions,
                 const float *cosine, const float *sine, bool inverse, const float *x, float *y) {
    for (size_t i = 0; i < rows * heads; i++, x += 2 * half, y += 2 * half) {
        const size_t angle = (size_t)positions[i / heads] * half;
        for (size_t j = 0; j < half; j += LANES) {
            const size_t left = half - j;
            const v16 c = v16_load_some(cosine + angle + j, left);
            const v16 turn = v16_load_some(sine + angle + j, left), s = inverse ? -turn : turn;
            const v16 a = v16_load_some(x + j, left), b = v16_load_some(x + half + j, left);
            v16_store_some(y + j, v16_fma(a, c, -(b * s)), left);
            v16_store_some(y + half + j, v16_fma(b, c, a * s), left);
        }
    }
}

static const cairn_attention_kernels attention_kernels = {
    .forward = attention_forward,
    .backward = attention_backward,
    .rope = rope,
};
