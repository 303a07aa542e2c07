// SPDX-License-Identifier: Apache-2.0
/// Gradients in groups: the order of the sums bit by bit, and no trace of micro-batches.

#include "ops_check.h"

/// One kind of gradient: dy and two more operands with a row each, and a gradient of `outputs`.
typedef enum kind { BIAS, COLUMNS, RMS, LAYER, EMBEDDING, KINDS } kind;
static const char *const names[] = {"bias", "column factor", "RMSNorm", "LayerNorm", "embedding"};

enum { REPEATS = 3, VOCABULARY = 11 };

/// LayerNorm has two gradients of `width`, an embedding VOCABULARY rows.
typedef struct setting {
    kind which;
    size_t width, sequences, groups, rows;
    uint32_t lengths[16], group_ends[8];
    float *dy, *x, *inverse, *mean, *denominator;
    int32_t *ids;
    size_t batches;
    const uint32_t *cuts;
    cairn_context *context;
    cairn_status status;
    cairn_gradient gradient;
} setting;

static size_t outputs(const setting *s) {
    return s->which == LAYER ? 2 * s->width : s->which == EMBEDDING ? VOCABULARY * s->width
                                                                     : s->width;
}

static void accumulate(const cairn_partition *p, size_t first, void *data) {
    setting *s = data;
    const size_t w = s->width, at = first * w;
    const cairn_gradient second = {s->gradient.sum + w, s->gradient.open + w};
    cairn_status status = CAIRN_STATUS_OK;
    switch (s->which) {
    case BIAS: status = cairn_bias_gradient(s->context, p, w, s->dy + at, s->gradient); break;
    case COLUMNS:
        status = cairn_scale_columns_gradient(s->context, p, w, s->dy + at, s->x + at,
                                              s->denominator, s->gradient);
        break;
    case RMS:
        status = cairn_rms_norm_weight_gradient(s->context, p, REPEATS, w, s->x + at * REPEATS,
                                                s->inverse + first * REPEATS,
                                                s->dy + at * REPEATS, s->gradient);
        break;
    case LAYER:
        status = cairn_layer_norm_weight_gradient(s->context, p, w, s->x + at, s->mean + first,
                                                  s->inverse + first, s->dy + at, s->gradient,
                                                  second);
        break;
    case EMBEDDING:
        status = cairn_embedding_gradient(s->context, p, w, VOCABULARY, s->ids + first, s->dy + at,
                                          s->gradient);
        break;
    case KINDS: break;
    }
    if (status != CAIRN_STATUS_OK) s->status = status;
}

/// Sum and open parts, one after the other.
static cairn_status run(cairn_context *context, const void *in, float *out) {
    setting s = *(const setting *)in;
    const size_t count = outputs(&s);
    memset(out, 0, 2 * count * sizeof(float));
    s.context = context;
    s.gradient = (cairn_gradient){out, out + count};
    visit_micro_batches(s.sequences, s.lengths, s.groups, s.group_ends, s.batches, s.cuts,
                        accumulate, &s);
    return s.status;
}

/// The definition: row by row within a group, then groups in order.
static void define(const setting *s, float *sum) {
    const size_t w = s->width, count = outputs(s);
    float *acc = exact(count * sizeof(float));
    for (size_t i = 0; i < count; i++) sum[i] = 0;
    size_t row = 0;
    for (size_t g = 0, sequence = 0; g < s->groups; g++) {
        for (size_t i = 0; i < count; i++) acc[i] = 0;
        for (; sequence < s->group_ends[g]; sequence++)
            for (size_t end = row + s->lengths[sequence]; row < end; row++)
                for (size_t h = 0; h < (s->which == RMS ? REPEATS : 1); h++)
                    for (size_t j = 0; j < w; j++) {
                        const size_t t = s->which == RMS ? row * REPEATS + h : row, i = t * w + j;
                        const float dy = s->dy[i], r = s->inverse[t];
                        if (s->which == BIAS) acc[j] += dy;
                        if (s->which == COLUMNS)
                            acc[j] = fmaf(dy, s->x[i] * (1 / s->denominator[j]), acc[j]);
                        if (s->which == RMS) acc[j] = fmaf(dy, s->x[i] * r, acc[j]);
                        if (s->which == LAYER) {
                            acc[j] = fmaf(dy, (s->x[i] - s->mean[t]) * r, acc[j]);
                            acc[w + j] += dy;
                        }
                        if (s->which == EMBEDDING) acc[(size_t)s->ids[t] * w + j] += dy;
                    }
        for (size_t i = 0; i < count; i++) sum[i] += acc[i];
    }
    free(acc);
}

static void check_kind(kind which, size_t width) {
    const uint32_t cuts[5][3] = {{0}, {4}, {1, 5, 6}, {2, 3, 8}, {3, 7, 7}};
    const size_t batches[] = {1, 2, 4, 4, 4};
    setting s = {.which = which, .width = width, .sequences = 9, .groups = 4,
                 .lengths = {3, 1, 7, 0, 30, 2, 5, 11, 4}, .group_ends = {2, 5, 7, 9}};
    for (size_t i = 0; i < s.sequences; i++) s.rows += s.lengths[i];
    s.dy = random_floats(s.rows * width * REPEATS);
    s.x = random_floats(s.rows * width * REPEATS);
    s.inverse = random_floats(s.rows * REPEATS);
    s.mean = random_floats(s.rows);
    s.denominator = random_floats(width);
    s.ids = exact(s.rows * sizeof(int32_t));
    for (size_t t = 0; t < s.rows; t++) s.ids[t] = (int32_t)random_below(VOCABULARY);
    const size_t count = outputs(&s);
    float *expected = exact(count * sizeof(float));
    define(&s, expected);
    for (size_t c = 0; c < 5; c++) {
        s.cuts = cuts[c];
        s.batches = batches[c];
        float *found = run_everywhere(names[which], run, &s, 2 * count);
        const size_t at = first_difference(found, expected, count);
        check(at == count, "%s, width %zu, cut %zu: element %zu is %a, not %a", names[which], width,
              c, at, at < count ? (double)found[at] : 0, at < count ? (double)expected[at] : 0);
        bool closed = true;
        for (size_t i = 0; i < count; i++) closed = closed && found[count + i] == 0;
        check(closed, "%s, width %zu, cut %zu: a group was left open", names[which], width, c);
        free(found);
    }
    free(s.dy), free(s.x), free(s.inverse), free(s.mean), free(s.denominator), free(s.ids);
    free(expected);
}

static void check_refusals(void) {
    const uint32_t falling[] = {0, 5, 3}, groups[] = {0, 2}, short_groups[] = {0, 1};
    const uint32_t offsets[] = {0, 2, 3};
    const int32_t ids[] = {0, VOCABULARY, 1}, negative[] = {0, -1, 1};
    float dy[8] = {0}, table[2 * VOCABULARY * 2] = {0};
    const cairn_gradient g = {table, table + VOCABULARY * 2};
    cairn_partition p = {.sequence_count = 2, .offsets = falling, .group_count = 1,
                         .groups = groups};
    cairn_context *context = ops_contexts[0];
    check(cairn_bias_gradient(context, &p, 2, dy, g) == CAIRN_STATUS_INVALID_ARGUMENT,
          "falling offsets were accepted");
    p.offsets = offsets;
    check(cairn_embedding_gradient(context, &p, 2, VOCABULARY, ids, dy, g)
              == CAIRN_STATUS_INVALID_ARGUMENT,
          "an id past the table was accepted");
    check(cairn_embedding_gradient(context, &p, 2, VOCABULARY, negative, dy, g)
              == CAIRN_STATUS_INVALID_ARGUMENT,
          "a negative id was accepted");
    p.groups = short_groups;
    check(cairn_bias_gradient(context, &p, 2, dy, g) == CAIRN_STATUS_INVALID_ARGUMENT,
          "a sequence without a group was accepted");
}

int main(void) {
    make_all_contexts();
    for (int which = 0; which < KINDS; which++)
        for (size_t n = 0; n < OPS_LENGTHS; n++) check_kind((kind)which, ops_lengths[n]);
    check_refusals();
    destroy_all_contexts();
    return summary();
}
