// SPDX-License-Identifier: Apache-2.0
/// Attention and rotary embedding against the formula in double, and for equal bits.

#include "attention_reference.h"
#include "ops_check.h"

enum { MAX_SEQUENCES = 8 };

/// Operands of a call, and where each result stands in one array of floats.
typedef struct problem {
    cairn_attention_config config;
    uint32_t query_offsets[MAX_SEQUENCES + 1], key_offsets[MAX_SEQUENCES + 1];
    uint32_t *positions;
    float *q, *k, *v, *d_o, *o, *log_sums;
    size_t queries, keys, q_count, k_count, sum_count;
} problem;

/// Sequences of so many queries and keys; the first query of each at its own position.
static problem make_uneven(size_t heads, size_t kv_heads, size_t head_dim, size_t sequences,
                           const uint32_t *queries, const uint32_t *keys, const uint32_t *first,
                           bool causal, size_t window) {
    problem p = {.config = {.heads = heads, .kv_heads = kv_heads, .head_dim = head_dim,
                            .scale = (float)(1 / sqrt((double)head_dim)), .causal = causal,
                            .window = window, .sequence_count = sequences}};
    for (size_t s = 0; s < sequences; s++) {
        p.query_offsets[s + 1] = p.query_offsets[s] + queries[s];
        p.key_offsets[s + 1] = p.key_offsets[s] + keys[s];
    }
    p.queries = p.query_offsets[sequences];
    p.keys = p.key_offsets[sequences];
    p.positions = exact(p.queries * sizeof(uint32_t));
    for (size_t s = 0; s < sequences; s++)
        for (uint32_t t = p.query_offsets[s]; t < p.query_offsets[s + 1]; t++)
            p.positions[t] = first[s] + (t - p.query_offsets[s]);
    p.q_count = p.queries * heads * head_dim;
    p.k_count = p.keys * kv_heads * head_dim;
    p.sum_count = p.queries * heads;
    p.q = random_floats(p.q_count);
    p.k = random_floats(p.k_count);
    p.v = random_floats(p.k_count);
    p.d_o = random_floats(p.q_count);
    for (size_t i = 0; i < p.q_count; i++) p.q[i] *= 3;
    return p;
}

/// `kept` of the last queries of each sequence; 0 keeps all.
static problem make_problem(size_t heads, size_t kv_heads, size_t head_dim, size_t sequences,
                            const uint32_t *lengths, bool causal, size_t window, size_t kept) {
    uint32_t queries[MAX_SEQUENCES], first[MAX_SEQUENCES];
    for (size_t s = 0; s < sequences; s++) {
        queries[s] = kept > 0 && kept < lengths[s] ? (uint32_t)kept : lengths[s];
        first[s] = lengths[s] - queries[s];
    }
    return make_uneven(heads, kv_heads, head_dim, sequences, queries, lengths, first, causal,
                       window);
}

static void release(problem *p) {
    free(p->positions);
    free(p->q), free(p->k), free(p->v), free(p->d_o);
}

/// The config with the pointers of this copy of the problem.
static cairn_attention_config config_of(const problem *p) {
    cairn_attention_config c = p->config;
    c.query_offsets = p->query_offsets;
    c.key_offsets = p->key_offsets;
    c.query_positions = p->positions;
    return c;
}

static cairn_status forward(cairn_context *context, const void *in, float *out) {
    const problem *p = in;
    const cairn_attention_config c = config_of(p);
    return cairn_attention_forward(context, &c, p->q, p->k, p->v, out, out + p->q_count);
}

static cairn_status backward(cairn_context *context, const void *in, float *out) {
    const problem *p = in;
    const cairn_attention_config c = config_of(p);
    return cairn_attention_backward(context, &c, p->q, p->k, p->v, p->o, p->log_sums, p->d_o, out,
                                    out + p->q_count, out + p->q_count + p->k_count);
}

static double *widened(const float *x, size_t count) {
    double *y = exact(count * sizeof(double));
    for (size_t i = 0; i < count; i++) y[i] = (double)x[i];
    return y;
}

/// An error of a score: head_dim roundings of a sum of at most 3 scale head_dim, u each.
static double score_error(const problem *p) {
    const double d = (double)p->config.head_dim;
    return (d + 2) * 0x1p-24 * 3 * (double)p->config.scale * d;
}

/// A weight is off by twice a score and some ulps of exp; sums over keys add a rounding each.
static double weight_error(const problem *p) {
    return 2 * score_error(p) + ((double)p->keys + 16) * 0x1p-24;
}

static void check_forward(const char *name, const problem *p, const float *out) {
    const cairn_attention_config c = config_of(p);
    double *q = widened(p->q, p->q_count), *k = widened(p->k, p->k_count);
    double *v = widened(p->v, p->k_count), *o = exact(p->q_count * sizeof(double));
    double *sums = exact(p->sum_count * sizeof(double));
    attention_reference(&c, q, k, v, o, sums);
    for (size_t i = 0; i < p->q_count; i++)
        check(near_enough((double)out[i], o[i], 2 * weight_error(p)), "%s: o[%zu] is %g, not %g",
              name, i, (double)out[i], o[i]);
    for (size_t i = 0; i < p->sum_count; i++) {
        const double found = (double)out[p->q_count + i];
        const double bound = weight_error(p) + fabs(sums[i]) * 0x1p-23;
        check(sums[i] == -INFINITY ? found == -INFINITY : near_enough(found, sums[i], bound),
              "%s: log_sum[%zu] is %g, not %g", name, i, found, sums[i]);
    }
    free(q), free(k), free(v), free(o), free(sums);
}

/// The sum of d_o o, whose gradient is that of the backward pass.
static double objective(const problem *p, const double *q, const double *k, const double *v,
                        double *o) {
    const cairn_attention_config c = config_of(p);
    attention_reference(&c, q, k, v, o, NULL);
    double sum = 0;
    for (size_t i = 0; i < p->q_count; i++) sum += (double)p->d_o[i] * o[i];
    return sum;
}

/// Central differences of the reference, at every `step`th element of q, k and v.
static void check_backward(const char *name, const problem *p, const float *found, size_t step) {
    double *q = widened(p->q, p->q_count), *k = widened(p->k, p->k_count);
    double *v = widened(p->v, p->k_count), *o = exact(p->q_count * sizeof(double));
    double *const operands[] = {q, k, v};
    const size_t counts[] = {p->q_count, p->k_count, p->k_count};
    // |dp| <= head_dim; ds <= 2 scale head_dim p, times |k| <= 1 or |q| <= 3 for all rows of a key.
    const double d = (double)p->config.head_dim, rows = (double)p->sum_count;
    const double slope = 2 * (double)p->config.scale * d * (weight_error(p) + d * 0x1p-24);
    const double bounds[] = {2 * slope, 3 * slope * sqrt(rows), sqrt(rows) * weight_error(p)};
    const double h = 1e-5;
    for (size_t which = 0; which < 3; which++) {
        for (size_t i = 0; i < counts[which]; i += step) {
            const double x = operands[which][i];
            operands[which][i] = x + h;
            const double above = objective(p, q, k, v, o);
            operands[which][i] = x - h;
            const double below = objective(p, q, k, v, o);
            operands[which][i] = x;
            const double expected = (above - below) / (2 * h);
            check(near_enough((double)found[i], expected, bounds[which] + 1e-8),
                  "%s: d%c[%zu] is %g, not %g", name, "qkv"[which], i, (double)found[i], expected);
        }
        found += counts[which];
    }
    free(q), free(k), free(v), free(o);
}

/// Leaves NaN wherever a call puts its intermediate values.
static void spoil_scratch(void) {
    const uint32_t length = 48;
    problem p = make_problem(8, 4, 128, 1, &length, false, 0, 0);
    float *out = exact((p.q_count + 2 * p.k_count + p.sum_count) * sizeof(float));
    float *sums = random_floats(p.sum_count);
    memset(p.q, 0xff, p.q_count * sizeof(float));
    memset(p.k, 0xff, p.k_count * sizeof(float));
    memset(p.v, 0xff, p.k_count * sizeof(float));
    memset(p.d_o, 0xff, p.q_count * sizeof(float));
    p.o = p.d_o;
    p.log_sums = sums;
    for (size_t i = 0; i < ops_context_count; i++)
        check(forward(ops_contexts[i], &p, out) == CAIRN_STATUS_OK
                  && backward(ops_contexts[i], &p, out) == CAIRN_STATUS_OK, "attention of NaN");
    free(out), free(sums);
    release(&p);
}

static void check_problem(const char *name, problem p, size_t step) {
    spoil_scratch();
    float *o = run_everywhere(name, forward, &p, p.q_count + p.sum_count);
    check_forward(name, &p, o);
    p.o = o;
    p.log_sums = o + p.q_count;
    float *gradients = run_everywhere(name, backward, &p, p.q_count + 2 * p.k_count);
    if (step > 0) check_backward(name, &p, gradients, step);
    free(o), free(gradients);
    release(&p);
}

static void check_problems(void) {
    const uint32_t short_ones[] = {1, 5, 16, 17}, mixed[] = {70, 3, 0, 130}, one[] = {300};
    const uint32_t tiny[] = {7, 12};
    check_problem("bidirectional", make_problem(3, 3, 32, 4, short_ones, false, 0, 0), 37);
    check_problem("causal", make_problem(2, 2, 16, 4, short_ones, true, 0, 0), 11);
    check_problem("grouped", make_problem(7, 1, 64, 4, short_ones, true, 0, 0), 97);
    check_problem("grouped pairs", make_problem(6, 2, 8, 2, tiny, true, 0, 0), 1);
    check_problem("odd head", make_problem(2, 1, 19, 2, tiny, false, 0, 0), 3);
    check_problem("window", make_problem(2, 1, 16, 4, mixed, true, 9, 0), 599);
    check_problem("wide window", make_problem(2, 1, 16, 4, mixed, true, 80, 0), 599);
    check_problem("last query only", make_problem(14, 2, 16, 4, mixed, true, 0, 1), 599);
    check_problem("last three queries", make_problem(4, 2, 16, 4, mixed, false, 0, 3), 599);
    check_problem("long", make_problem(2, 1, 16, 1, one, true, 0, 0), 0);
    check_problem("many heads", make_problem(70, 1, 4, 2, tiny, true, 0, 0), 41);
    check_problem("large head", make_problem(1, 1, 128, 4, mixed, false, 0, 0), 0);
}

/// Queries that see no key and keys that no query sees, alone and among others.
static void check_unseen(void) {
    const uint32_t queries[] = {3, 0, 5, 0, 4, 20}, keys[] = {0, 70, 5, 0, 90, 150};
    const uint32_t behind[] = {0, 0, 0, 0, 200, 150}, last[] = {0, 0, 0, 0, 86, 130};
    check_problem("no key", make_uneven(4, 2, 16, 6, queries, keys, last, false, 0), 61);
    check_problem("no key, causal", make_uneven(4, 2, 16, 6, queries, keys, last, true, 0), 61);
    check_problem("behind it", make_uneven(2, 2, 19, 6, queries, keys, behind, true, 9), 67);
    check_problem("last window", make_uneven(2, 1, 16, 6, queries, keys, last, true, 9), 61);
    check_problem("one window", make_uneven(2, 1, 16, 1, keys + 4, keys + 4, behind, true, 4), 61);
}

/// Each sequence alone and each query alone has the bits that it has among others.
static void check_packing(void) {
    const uint32_t lengths[] = {70, 3, 33, 130};
    problem p = make_problem(6, 2, 32, 4, lengths, true, 50, 0);
    cairn_context *context = ops_contexts[ops_context_count - 1];
    float *all = exact((p.q_count + p.sum_count) * sizeof(float));
    check(forward(context, &p, all) == CAIRN_STATUS_OK, "packed forward");
    for (size_t s = 0; s < 4; s++)
        for (uint32_t first = 0; first < lengths[s]; first += 29) {
            const size_t t = p.query_offsets[s] + first, width = 6 * 32;
            const uint32_t count = lengths[s] - first;
            problem alone = p;
            alone.config.sequence_count = 1;
            alone.query_offsets[1] = count;
            alone.key_offsets[1] = lengths[s];
            alone.positions = p.positions + t;
            alone.q = p.q + t * width;
            alone.k = p.k + p.key_offsets[s] * 64;
            alone.v = p.v + p.key_offsets[s] * 64;
            alone.q_count = count * width;
            float *out = exact((count * width + count * 6) * sizeof(float));
            check(forward(context, &alone, out) == CAIRN_STATUS_OK, "forward of one sequence");
            check(first_difference(out, all + t * width, count * width) == count * width,
                  "sequence %zu from %u on differs alone", s, first);
            check(first_difference(out + count * width, all + p.q_count + t * 6, count * 6)
                      == count * 6,
                  "log_sums of sequence %zu from %u on differ alone", s, first);
            free(out);
        }
    free(all);
    release(&p);
}

/// A NaN in key 5 reaches exactly the queries that see it, at any place of a tile.
static void check_nan(void) {
    const uint32_t length = 90;
    for (int which = 0; which < 3; which++) {
        problem p = make_problem(2, 1, 16, 1, &length, true, 0, 0);
        float *const operand = which == 0 ? p.k : p.v;
        const float bad = which == 2 ? INFINITY : NAN;
        for (size_t key = 5; key < length; key += 41) {
            operand[key * 16 + 3] = bad;
            float *o = run_everywhere("NaN", forward, &p, p.q_count + p.sum_count);
            for (size_t i = 0; i < p.q_count; i++) {
                const bool reached = i / 32 >= key && (which == 0 || i % 16 == 3);
                check(reached ? !(fabsf(o[i]) <= 1e30f) : fabsf(o[i]) <= 1,
                      "operand %d, key %zu: o[%zu] is %g", which, key, i, (double)o[i]);
            }
            free(o);
            operand[key * 16 + 3] = 0.5f;
        }
        release(&p);
    }
}

typedef struct rotation {
    size_t rows, heads, half;
    uint32_t *positions;
    float *cosine, *sine, *x;
    bool inverse;
} rotation;

static cairn_status rotate(cairn_context *context, const void *in, float *out) {
    const rotation *r = in;
    return cairn_rope(context, r->rows, r->heads, r->half, r->positions, r->cosine, r->sine,
                      r->inverse, r->x, out);
}

static void check_rope(size_t rows, size_t heads, size_t half) {
    enum { POSITIONS = 50 };
    const size_t width = 2 * heads * half;
    rotation r = {.rows = rows, .heads = heads, .half = half};
    r.positions = exact(rows * sizeof(uint32_t));
    for (size_t t = 0; t < rows; t++) r.positions[t] = (uint32_t)random_below(POSITIONS);
    r.x = random_floats(rows * width);
    r.cosine = random_floats(POSITIONS * half);
    r.sine = random_floats(POSITIONS * half);
    for (int inverse = 0; inverse < 2; inverse++) {
        r.inverse = inverse;
        float *y = run_everywhere("rope", rotate, &r, rows * width);
        for (size_t i = 0; i < rows * width; i++) {
            const size_t j = i % (2 * half), pair = j % half;
            const size_t angle = r.positions[i / width] * half + pair;
            const double c = (double)r.cosine[angle], sine = (double)r.sine[angle];
            const double s = (j < half) != (inverse == 1) ? -sine : sine;
            const size_t other = j < half ? i + half : i - half;
            check(near_enough((double)y[i], (double)r.x[i] * c + (double)r.x[other] * s, 0x1p-23),
                  "rope: element %zu is %g", i, (double)y[i]);
        }
        free(y);
    }
    free(r.positions), free(r.x), free(r.cosine), free(r.sine);
}

static void check_refusals(void) {
    const uint32_t lengths[] = {3};
    problem p = make_problem(4, 2, 16, 1, lengths, true, 0, 0);
    float *out = exact((p.q_count + p.sum_count) * sizeof(float));
    p.config.kv_heads = 3;
    check(forward(ops_contexts[0], &p, out) == CAIRN_STATUS_INVALID_ARGUMENT,
          "3 heads of keys for 4 heads were accepted");
    p.config.kv_heads = 0;
    check(forward(ops_contexts[0], &p, out) == CAIRN_STATUS_INVALID_ARGUMENT,
          "no head of keys was accepted");
    free(out);
    release(&p);
}

int main(void) {
    make_all_contexts();
    check_problems();
    check_unseen();
    check_packing();
    check_nan();
    for (size_t i = 0; i < 40; i++) check_rope(random_below(30), random_below(5), random_below(40));
    check_rope(400, 2, 32);
    check_refusals();
    destroy_all_contexts();
    return summary();
}
