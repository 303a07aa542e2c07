// SPDX-License-Identifier: Apache-2.0
/// Asks for the numbers of the next head while one is computed; included by attention_body.h.
///
/// Heads lie side by side in a token, so the rows of one head are far apart, which is more than a
/// processor foresees. A few lines are asked for before each block of a product: all at once they
/// would wait for each other, and the product for them.

enum { KEYS = CAIRN_ATTENTION_KEYS };

/// Rows of one array that are still to be asked for.
typedef struct fetch_rows {
    const float *at;
    size_t stride, width, rows;
} fetch_rows;

typedef struct fetch {
    fetch_rows arrays[9];
    size_t next, count;
} fetch;

CAIRN_INLINE void add_rows(fetch *f, const float *x, size_t first, size_t rows, size_t stride,
                           size_t width) {
    if (!x || rows == 0) return;
    f->arrays[f->count++] = (fetch_rows){x + first * stride, stride, width, rows};
}

/// What the first tiles of a head need.
static fetch make_fetch(const cairn_attention_head *head) {
    fetch f = {.count = 0};
    if (!head) return f;
    const size_t tile = cairn_attention_query_tile(head->group), left = head->end - head->begin;
    const size_t queries = left < tile ? left : tile, keys = head->keys < KEYS ? head->keys : KEYS;
    const size_t width = head->group * head->head_dim, depth = head->head_dim;
    const size_t first = head->begin, stride = head->query_stride;
    add_rows(&f, head->q, first, queries, stride, width);
    add_rows(&f, head->d_o, first, queries, stride, width);
    add_rows(&f, head->o, first, queries, stride, width);
    add_rows(&f, head->k, 0, keys, head->key_stride, depth);
    add_rows(&f, head->v, 0, keys, head->key_stride, depth);
    add_rows(&f, head->dv, 0, keys, head->key_stride, depth);
    add_rows(&f, head->dk, 0, keys, head->key_stride, depth);
    add_rows(&f, head->dq, first, queries, stride, width);
    add_rows(&f, head->o_out, first, queries, stride, width);
    return f;
}

/// Asks for whole rows until it has asked for so many lines, in the second cache: in the first one
/// rows of a head share few sets. Where they are written is asked for like any other: a worker that
/// is the only one to have a line may write it.
static void fetch_lines(fetch *f, size_t lines) {
    for (size_t done = 0; done < lines && f->next < f->count;) {
        const fetch_rows rows = f->arrays[f->next];
        const float *at = rows.at;
        size_t left = rows.rows;
        for (; done < lines && left > 0; left--, at += rows.stride)
            for (size_t d = 0; d < rows.width; d += LANES, done++)
                __builtin_prefetch(at + d, 0, 2);
        f->arrays[f->next].at = at;
        f->arrays[f->next].rows = left;
        if (left == 0) f->next++;
    }
}
