// SPDX-License-Identifier: Apache-2.0
/// The gradients of attention, tile by tile, and rotary embedding; included by attention_body.h.

/// Keys whose gradients are summed at a time; the same on every instruction set, because the rows
/// that see none of them are left out.
enum { KEY_BLOCK = 16 };

/// out[j, .] += sum over the rows i, ascending, of weights[j, i] rows[i, .]; without `accumulate`
/// out is not there yet.
///
/// Weights of what is not seen are 0; rows at either end that see no key of a block are left out.
static void add_weighted_rows(const cairn_attention_head *head, const attention_tile *tile,
                              key_range keys, key_range rows, size_t offset, const float *weights,
                              row_matrix source, bool accumulate, float *out) {
    const size_t whole = head->head_dim / LANES * LANES;
    const small_product product = {
        .next = tile->next,
        .rows = keys.last - keys.first, .depth = rows.last - rows.first,
        .a = {weights + offset * tile->padded + rows.first, tile->padded, 1},
        .b = source.data + rows.first * source.stride, .b_stride = source.stride,
        .accumulate = accumulate, .c = out + keys.first * head->key_stride,
        .c_stride = head->key_stride};
    multiply_small(&product, 0, whole);
    multiply_tail(&product, whole, head->head_dim);
}

/// The rows of a tile but for those at either end that see none of the keys.
static key_range rows_that_see_any(const attention_tile *tile, key_range keys) {
    const int32_t first = (int32_t)keys.first, last = (int32_t)keys.last;
    size_t begin = 0, end = tile->rows;
    while (begin < end && !(tile->low[begin] < last && tile->high[begin] > first)) begin++;
    while (end > begin && !(tile->low[end - 1] < last && tile->high[end - 1] > first)) end--;
    return (key_range){begin, end};
}

/// One tile of queries against one tile of keys: adds to dq of the tile, and to dk and dv.
static void backward_tile(const cairn_attention_head *head, const attention_tile *tile,
                          key_range keys, row_matrix q_rows, row_matrix gradient_rows,
                          bool is_first, bool accumulate) {
    const row_matrix k = pack_keys(head, tile, keys, head->k, tile->keys);
    const row_matrix v = pack_keys(head, tile, keys, head->v, tile->values);
    for (size_t row = 0; row < tile->padded; row += panel_rows(head)) {
        const panel p = make_panel(head, tile, row, keys);
        multiply_keys(head, tile, p, keys.first, k, tile->q, tile->scores);
        multiply_keys(head, tile, p, keys.first, v, tile->gradient, tile->slopes);
        for (size_t i = p.first; i < p.last; i += LANES)
            differentiate_rows(head, tile, p, i, keys);
        add_weighted_keys(tile, p, keys.first, is_first, tile->slopes, k);
    }
    for (size_t j = keys.first; j < keys.last; j += KEY_BLOCK) {
        const key_range block = {j, keys.last - j < KEY_BLOCK ? keys.last : j + KEY_BLOCK};
        const key_range rows = rows_that_see_any(tile, block);
        const size_t offset = j - keys.first;
        add_weighted_rows(head, tile, block, rows, offset, tile->scores, gradient_rows,
                          accumulate, head->dv);
        add_weighted_rows(head, tile, block, rows, offset, tile->slopes, q_rows, accumulate,
                          head->dk);
    }
}

/// dk and dv of keys that no query has added to.
static void clear_keys(const cairn_attention_head *head, size_t first, size_t last) {
    for (size_t j = first; j < last; j++) {
        clear_floats(head->dk + j * head->key_stride, head->head_dim);
        clear_floats(head->dv + j * head->key_stride, head->head_dim);
    }
}

static void attention_backward(const cairn_attention_head *head, const cairn_attention_head *next,
                               size_t query_tile, float *scratch) {
    fetch following = make_fetch(next);
    if (head->queries == 0) clear_keys(head, 0, head->keys);
    for (size_t begin = 0; begin < head->queries; begin += query_tile) {
        const size_t left = head->queries - begin;
        const attention_tile tile =
            make_tile(head, begin, begin + (left < query_tile ? left : query_tile), &following,
                      scratch);
        pack_columns(head, &tile, head->q, tile.q);
        pack_columns(head, &tile, head->d_o, tile.gradient);
        const row_matrix q_rows = pack_rows(head, &tile, head->q, tile.q_rows);
        const row_matrix gradient_rows = pack_rows(head, &tile, head->d_o, tile.gradient_rows);
        load_gradients(head, begin, &tile);
        const key_range seen = seen_keys(head, &tile, 0, tile.padded, false);
        const size_t start = seen.first / KEYS * KEYS;
        if (seen.first == seen.last) clear_floats(tile.out, tile.rows * tile.wide);
        if (begin == 0) {
            clear_keys(head, 0, start);
            clear_keys(head, seen.last, head->keys);
        }
        for (size_t first = start; first < seen.last; first += KEYS) {
            const key_range keys = {first, first + KEYS < seen.last ? first + KEYS : seen.last};
            backward_tile(head, &tile, keys, q_rows, gradient_rows, first == start, begin > 0);
        }
        unpack_rows(head, &tile, NULL, head->dq);
    }
    fetch_lines(&following, SIZE_MAX);
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
