// SPDX-License-Identifier: Apache-2.0
/// The attention kernels, written once; every build_*.c includes this file under its own target.

#include "attention/fetch_body.h"
#include "attention/multiply_body.h"
#include "attention/tile_body.h"

/// Rows that are worked on at a time, first ..< last, and the keys of a tile of keys that they see:
/// any of them, and all of them.
typedef struct panel {
    size_t first, last;
    key_range any, all;
} panel;

/// Rows of a panel. Where the diagonal is a large part of all scores, narrow panels leave out more
/// of what no row sees; elsewhere a number that is loaded serves more rows.
CAIRN_INLINE size_t panel_rows(const cairn_attention_head *head) {
    return head->causal && head->keys <= 2 * KEYS ? LANES : PANEL * LANES;
}

CAIRN_INLINE panel make_panel(const cairn_attention_head *head, const attention_tile *tile,
                              size_t first, key_range keys) {
    const size_t wide = first + panel_rows(head);
    panel p = {.first = first, .last = wide < tile->padded ? wide : tile->padded};
    p.any = intersect(seen_keys(head, tile, p.first, p.last, false), keys);
    p.all = intersect(seen_keys(head, tile, p.first, p.last, true), p.any);
    return p;
}

/// All-ones in the rows of a vector that see key j.
CAIRN_INLINE v16i rows_that_see(const attention_tile *tile, size_t row, size_t j) {
    const v16i key = (v16i)((int32_t)j);
    return (v16i_load(tile->low + row) <= key) & (key < v16i_load(tile->high + row));
}

/// products[j, i] = row j . column i, for the keys that any row of the panel sees.
static void multiply_keys(const cairn_attention_head *head, const attention_tile *tile, panel p,
                          size_t first, row_matrix rows, const float *columns, float *products) {
    const size_t skipped = p.any.first - first;
    if (p.any.first == p.any.last) return;
    const small_product product = {
        .next = tile->next,
        .rows = p.any.last - p.any.first, .depth = head->head_dim,
        .a = {rows.data + skipped * rows.stride, rows.stride, 1},
        .b = columns, .b_stride = tile->padded,
        .c = products + skipped * tile->padded, .c_stride = tile->padded};
    multiply_small(&product, p.first, p.last);
}

/// out[i, .] += sum over the keys j that row i sees, ascending, of weights[j, i] source[j, .];
/// before the first tile of keys out is not there yet.
///
/// Keys that a row does not see are not multiplied by 0: a NaN there is none of its business.
static void add_weighted_keys(const attention_tile *tile, panel p, size_t first, bool is_first,
                              const float *weights, row_matrix source) {
    if (p.first >= tile->rows || (p.any.first == p.any.last && !is_first)) return;
    const bool some = p.any.first < p.all.first || p.all.last < p.any.last;
    const size_t skipped = p.any.first - first;
    const small_product product = {
        .next = tile->next,
        .rows = (p.last < tile->rows ? p.last : tile->rows) - p.first,
        .depth = p.any.last - p.any.first,
        .a = {weights + skipped * tile->padded + p.first, 1, tile->padded},
        .b = source.data + skipped * source.stride, .b_stride = source.stride,
        .accumulate = !is_first,
        .c = tile->out + p.first * tile->wide, .c_stride = tile->wide,
        .low = some ? tile->low + p.first : NULL, .high = some ? tile->high + p.first : NULL,
        .first_step = (int32_t)p.any.first};
    multiply_small(&product, 0, tile->wide);
}

/// From scores to weights exp(s - m), for one vector of rows and the keys of its panel.
///
/// The running maximum m grows to that of the tile; sum and output so far shrink by the factors
/// exp(m - m').
CAIRN_INLINE void soften_rows(const cairn_attention_head *head, const attention_tile *tile,
                              panel p, size_t row, size_t first, bool is_first) {
    const v16 none = v16_set(-__builtin_inff()), scale = v16_set(head->scale);
    float *s = tile->scores + row;
    const v16 before = v16_load(tile->maxima + row);
    v16 maximum = before;
    for (size_t j = p.any.first; j < p.any.last; j++) {
        float *at = s + (j - first) * tile->padded;
        v16 score = v16_load(at) * scale;
        if (j < p.all.first || j >= p.all.last)
            score = v16_select(rows_that_see(tile, row, j), score, none);
        maximum = v16_max(maximum, score);
        v16_store(at, score);
    }
    v16 sum = v16_zero();
    if (!is_first) {
        // Rows that have seen no key yet have nothing to shrink: -inf - -inf is no number.
        const v16 shrink = v16_select(maximum == none, v16_set(1),
                                      v16_exp_bounded(before - maximum));
        sum = v16_load(tile->sums + row) * shrink;
        v16_store(tile->factors + row, shrink);
    }
    for (size_t j = p.any.first; j < p.any.last; j++) {
        float *at = s + (j - first) * tile->padded;
        v16 weight = v16_exp_bounded(v16_load(at) - maximum);
        if (j < p.all.first || j >= p.all.last)
            weight = (v16)(rows_that_see(tile, row, j) & (v16i)weight);
        sum += weight;
        v16_store(at, weight);
    }
    v16_store(tile->maxima + row, maximum);
    v16_store(tile->sums + row, sum);
}

/// Multiplies what the rows of a panel have summed so far by their factors.
static void shrink_rows(const attention_tile *tile, panel p) {
    for (size_t i = p.first; i < p.last && i < tile->rows; i++) {
        float *out = tile->out + i * tile->wide;
        for (size_t d = 0; d < tile->wide; d += LANES)
            v16_store(out + d, v16_load(out + d) * v16_set(tile->factors[i]));
    }
}

/// Divides by the sums and writes the logarithms; rows that saw no key give 0 and -inf.
static void finish_rows(const cairn_attention_head *head, size_t begin,
                        const attention_tile *tile) {
    for (size_t i = 0; i < tile->padded; i += LANES) {
        const v16 sum = v16_load(tile->sums + i), zero = v16_zero();
        v16_store(tile->factors + i, v16_select(sum == zero, zero, v16_set(1) / sum));
        v16_store(tile->log_sums + i, v16_load(tile->maxima + i) + v16_log(sum));
    }
    unpack_rows(head, tile, tile->factors, head->o_out);
    float *log_sums = head->log_sums_out + begin * head->sum_stride;
    for (size_t i = 0; i < tile->rows; log_sums += head->sum_stride)
        for (size_t h = 0; h < head->group; h++, i++) log_sums[h] = tile->log_sums[i];
}

static void attention_forward(const cairn_attention_head *head, const cairn_attention_head *next,
                              float *scratch) {
    const size_t begin = head->begin, end = head->end;
    if (begin == end) return;
    fetch following = make_fetch(next);
    const attention_tile tile = make_tile(head, begin, end, &following, scratch);
    pack_columns(head, &tile, head->q, tile.q);
    clear_floats(tile.sums, tile.padded);
    for (size_t i = 0; i < tile.padded; i++) tile.maxima[i] = -__builtin_inff();

    const key_range seen = seen_keys(head, &tile, 0, tile.padded, false);
    const size_t start = seen.first / KEYS * KEYS;
    if (seen.first == seen.last) clear_floats(tile.out, tile.rows * tile.wide);
    for (size_t first = start; first < seen.last; first += KEYS) {
        const key_range keys = {first, first + KEYS < seen.last ? first + KEYS : seen.last};
        const row_matrix k = pack_keys(head, &tile, keys, head->k, tile.keys);
        const row_matrix v = pack_keys(head, &tile, keys, head->v, tile.values);
        for (size_t row = 0; row < tile.padded; row += panel_rows(head)) {
            const panel p = make_panel(head, &tile, row, keys);
            if (p.any.first == p.any.last && first > start) continue;
            multiply_keys(head, &tile, p, first, k, tile.q, tile.scores);
            for (size_t i = p.first; i < p.last; i += LANES)
                soften_rows(head, &tile, p, i, first, first == start);
            if (first > start) shrink_rows(&tile, p);
            add_weighted_keys(&tile, p, first, first == start, tile.scores, v);
        }
    }
    finish_rows(head, begin, &tile);
    fetch_lines(&following, SIZE_MAX);
}

/// delta = sum over d of d_o o of each row: the part of ds that the softmax takes back.
static void load_gradients(const cairn_attention_head *head, size_t begin,
                           const attention_tile *tile) {
    for (size_t i = 0; i < tile->padded; i += LANES) {
        v16 sums[LANES];
        for (size_t l = 0; l < LANES; l++) {
            const float *d_o = head->d_o + tile->offsets[i + l];
            const float *o = head->o + tile->offsets[i + l];
            v16 sum = v16_zero();
            for (size_t j = 0; j < head->head_dim; j += LANES)
                sum = v16_fma(v16_load_some(d_o + j, head->head_dim - j),
                              v16_load_some(o + j, head->head_dim - j), sum);
            sums[l] = sum;
        }
        v16_store(tile->deltas + i, v16_sums(sums));
    }
    const float *log_sums = head->log_sums + begin * head->sum_stride;
    for (size_t i = 0; i < tile->rows; log_sums += head->sum_stride)
        for (size_t h = 0; h < head->group; h++, i++) tile->log_sums[i] = log_sums[h];
    for (size_t i = tile->rows; i < tile->padded; i++)
        tile->log_sums[i] = tile->log_sums[i - 1];
}

/// From s and d_o v^T to p = exp(s - log_sum) and ds = scale p (d_o v^T - delta); 0 if not seen.
CAIRN_INLINE void differentiate_rows(const cairn_attention_head *head, const attention_tile *tile,
                                     panel p, size_t row, key_range keys) {
    const v16 log_sum = v16_load(tile->log_sums + row), delta = v16_load(tile->deltas + row);
    const v16 scale = v16_set(head->scale);
    float *s = tile->scores + row, *d = tile->slopes + row;
    for (size_t j = keys.first; j < keys.last; j++, s += tile->padded, d += tile->padded) {
        v16 weight = v16_zero(), slope = v16_zero();
        if (j >= p.any.first && j < p.any.last) {
            weight = v16_exp_bounded(v16_load(s) * scale - log_sum);
            slope = (v16_load(d) - delta) * weight * scale;
            if (j < p.all.first || j >= p.all.last) {
                const v16i seen = rows_that_see(tile, row, j);
                weight = (v16)(seen & (v16i)weight);
                slope = (v16)(seen & (v16i)slope);
            }
        }
        v16_store(s, weight);
        v16_store(d, slope);
    }
}

#include "attention/backward_body.h"
