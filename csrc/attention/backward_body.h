// SPDX-License-Identifier: Apache-2.0
/// The gradients of attention, tile by tile, and rotary embedding; included by attention_body.h.

/// Keys whose gradients are summed at a time; the same on every instruction set, because the rows
/// that see none of them are left out.
enum { KEY_BLOCK = 16 };

/// out[j, .] += sum over the rows i, ascending, of weights[j, i] rows[i, .].
///
/// Weights of what is not seen are 0; rows at either end that see no key of a block are left out.
static void add_weighted_rows(const cairn_attention_head *head, const attention_tile *tile,
                              key_range keys, const float *weights, row_matrix rows, float *out) {
    const size_t whole = head->head_dim / LANES * LANES;
    for (size_t j = keys.first; j < keys.last; j += KEY_BLOCK) {
        const size_t count = keys.last - j < KEY_BLOCK ? keys.last - j : KEY_BLOCK;
        const int32_t first = (int32_t)j, last = (int32_t)(j + count);
        size_t begin = 0, end = tile->rows;
        while (begin < end && !(tile->low[begin] < last && tile->high[begin] > first)) begin++;
        while (end > begin && !(tile->low[end - 1] < last && tile->high[end - 1] > first)) end--;
        const small_product product = {
            .rows = count, .depth = end - begin,
            .a = {weights + (j - keys.first) * tile->padded + begin, tile->padded, 1},
            .b = rows.data + begin * rows.stride, .b_stride = rows.stride,
            .accumulate = true, .c = out + j * head->key_stride, .c_stride = head->key_stride};
        multiply_small(&product, 0, whole);
        multiply_tail(&product, whole, head->head_dim);
    }
}

/// One tile of queries against one tile of keys: adds to dq of the tile, and to dk and dv.
static void backward_tile(const cairn_attention_head *head, const attention_tile *tile,
                          key_range keys, row_matrix q_rows, row_matrix gradient_rows) {
    for (size_t row = 0; row < tile->padded; row += VECTORS * LANES) {
        const panel p = make_panel(head, tile, row, keys);
        multiply_keys(head, tile, p, keys.first, head->k, tile->q, tile->scores);
        multiply_keys(head, tile, p, keys.first, head->v, tile->gradient, tile->slopes);
        for (size_t i = p.first; i < p.last; i += LANES)
            differentiate_rows(head, tile, p, i, keys);
        add_weighted_keys(head, tile, p, keys.first, tile->slopes, head->k, tile->out);
    }
    add_weighted_rows(head, tile, keys, tile->scores, gradient_rows, head->dv);
    add_weighted_rows(head, tile, keys, tile->slopes, q_rows, head->dk);
}

static void attention_backward(const cairn_attention_head *head, size_t query_tile,
                               float *scratch) {
    attention_tile tile = make_tile(head, scratch);
    for (size_t j = 0; j < head->keys; j++) {
        clear_floats(head->dk + j * head->key_stride, head->head_dim);
        clear_floats(head->dv + j * head->key_stride, head->head_dim);
    }
    for (size_t begin = 0; begin < head->queries; begin += query_tile) {
        const size_t left = head->queries - begin;
        set_rows(head, begin, begin + (left < query_tile ? left : query_tile), &tile);
        pack_columns(head, &tile, head->q, tile.q);
        pack_columns(head, &tile, head->d_o, tile.gradient);
        const row_matrix q_rows = pack_rows(head, &tile, head->q, tile.q_rows);
        const row_matrix gradient_rows = pack_rows(head, &tile, head->d_o, tile.gradient_rows);
        load_gradients(head, begin, &tile);
        clear_floats(tile.out, head->head_dim * tile.padded);
        const key_range seen = seen_keys(head, &tile, 0, tile.padded, false);
        for (size_t first = seen.first / KEYS * KEYS; first < seen.last; first += KEYS) {
            const size_t last = first + KEYS < seen.last ? first + KEYS : seen.last;
            backward_tile(head, &tile, (key_range){first, last}, q_rows, gradient_rows);
        }
        unpack_columns(head, &tile, tile.out, head->dq);
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
