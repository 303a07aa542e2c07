// SPDX-License-Identifier: Apache-2.0
/// Attention in double, one query at a time: the formula.

#ifndef CAIRN_ATTENTION_REFERENCE_H
#define CAIRN_ATTENTION_REFERENCE_H

#include <math.h>

#include "cairn.h"

/// Whether a query at `position` sees key `j` of its sequence.
static inline bool sees(const cairn_attention_config *c, size_t position, size_t j) {
    if (!c->causal) return true;
    return j <= position && (c->window == 0 || position - j < c->window);
}

/// One row: o [head_dim] of query `t` and head `h` of sequence `s`; returns the log-sum.
static inline double attention_row(const cairn_attention_config *c, size_t s, size_t t, size_t h,
                                   const double *q, const double *k, const double *v, double *o) {
    const size_t d = c->head_dim, kv = h / (c->heads / c->kv_heads);
    const size_t first = c->key_offsets[s], keys = c->key_offsets[s + 1] - first;
    double maximum = -INFINITY, sum = 0;
    for (size_t e = 0; e < d; e++) o[e] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t j = 0; j < keys; j++) {
            if (!sees(c, c->query_positions[t], j)) continue;
            const size_t at = ((first + j) * c->kv_heads + kv) * d;
            double score = 0;
            for (size_t e = 0; e < d; e++) score += q[(t * c->heads + h) * d + e] * k[at + e];
            score *= (double)c->scale;
            if (pass == 0) {
                maximum = score > maximum ? score : maximum;
            } else {
                const double p = exp(score - maximum);
                sum += p;
                for (size_t e = 0; e < d; e++) o[e] += p * v[at + e];
            }
        }
    for (size_t e = 0; sum > 0 && e < d; e++) o[e] /= sum;
    return sum > 0 ? maximum + log(sum) : -INFINITY;
}

/// All rows; log_sums may be null.
static inline void attention_reference(const cairn_attention_config *c, const double *q,
                                       const double *k, const double *v, double *o,
                                       double *log_sums) {
    for (size_t s = 0; s < c->sequence_count; s++)
        for (size_t t = c->query_offsets[s]; t < c->query_offsets[s + 1]; t++)
            for (size_t h = 0; h < c->heads; h++) {
                const size_t row = t * c->heads + h;
                const double sum = attention_row(c, s, t, h, q, k, v, o + row * c->head_dim);
                if (log_sums) log_sums[row] = sum;
            }
}

#endif
