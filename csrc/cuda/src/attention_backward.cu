// SPDX-License-Identifier: Apache-2.0
/// Attention backward: one kernel toward the queries, one toward keys and values, so that every
/// sum has one owner and no atomics are needed (cairn_attention.h).

#include "attention.cuh"

namespace cairn {
inline namespace kernels {

/// The operands of both kernels.
struct Gradients {
    const float *q, *k, *v, *d_o, *log_sums, *deltas;
    float *dq, *dk, *dv;
};

/// deltas[i] = d_o . o over a head of a row: the part of ds that the softmax takes back. A warp
/// per row and head.
__global__ void __launch_bounds__(ROW_BLOCK)
dot_heads(size_t rows, size_t head_dim, const float *o, const float *d_o, float *deltas) {
    const RowPlace<WARP> place;
    if (place.row >= rows) return;
    float sum = 0;
    for (size_t d = place.first; d < head_dim; d += WARP)
        sum = fmaf(d_o[place.row * head_dim + d], o[place.row * head_dim + d], sum);
    sum = over_warp(sum, Add());
    if (place.first == 0) deltas[place.row] = sum;
}

/// p = exp(s - log_sum) and ds = scale p (d_o v^T - delta); 0 for what is not seen.
__device__ __forceinline__ float differentiate(const Attention &a, bool is_seen, float product,
                                               float slope, float log_sum, float delta,
                                               float &weight) {
    weight = is_seen ? exp_bounded(product * a.scale - log_sum) : 0;
    return is_seen ? (slope - delta) * weight * a.scale : 0;
}

/// A block per sequence, head and tile of queries: rows are queries, lanes keys.
template <int CHUNKS>
__global__ void __launch_bounds__(ATTENTION_BLOCK) toward_queries(Attention a, Gradients g) {
    DYNAMIC_SHARED(float, shared);
    const Sequence s(a, blockIdx.x);
    const size_t head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
    const uint32_t first = blockIdx.z * TILE;
    if (first >= s.queries) return;
    const size_t width = a.heads * a.head_dim, kv_width = a.kv_heads * a.head_dim;
    const size_t pitch = a.head_dim + 1;
    float *queries = shared, *slopes = queries + TILE * a.head_dim;
    float *keys = slopes + TILE * a.head_dim, *values = keys + TILE * pitch;
    const size_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float *weights = values + TILE * pitch + warp * ROWS * TILE;
    const uint32_t own = first + (uint32_t)warp * ROWS;

    Seen seen[ROWS];
    float log_sums[ROWS], deltas[ROWS], sums[ROWS][CHUNKS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const bool exists = own + r < s.queries;
        const size_t row = s.first_query + own + r;
        seen[r] = exists ? seen_by(a, row, s.keys) : Seen{0, 0};
        log_sums[r] = exists ? g.log_sums[row * a.heads + head] : 0;
        deltas[r] = exists ? g.deltas[row * a.heads + head] : 0;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) sums[r][c] = 0;
    }
    const size_t at = s.first_query * width + head * a.head_dim;
    load_rows(queries, a.head_dim, g.q + at, width, a.head_dim, first, s.queries);
    load_rows(slopes, a.head_dim, g.d_o + at, width, a.head_dim, first, s.queries);
    const Seen all = seen_by_tile(a, s, first);
    const size_t kv = s.first_key * kv_width + kv_head * a.head_dim;
    for (uint32_t key = all.low / TILE * TILE; key < all.high; key += TILE) {
        __syncthreads();  // SYNC:queries-reuse
        load_rows(keys, pitch, g.k + kv, kv_width, a.head_dim, key, s.keys);
        load_rows(values, pitch, g.v + kv, kv_width, a.head_dim, key, s.keys);
        __syncthreads();  // SYNC:queries-loaded
        float products[ROWS], d_weights[ROWS];
        multiply_tile(a.head_dim, queries + warp * ROWS * a.head_dim, a.head_dim, keys, pitch,
                      products);
        multiply_tile(a.head_dim, slopes + warp * ROWS * a.head_dim, a.head_dim, values, pitch,
                      d_weights);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float weight;
            weights[r * TILE + lane] =
                differentiate(a, seen[r].holds(key + (uint32_t)lane), products[r], d_weights[r],
                              log_sums[r], deltas[r], weight);
        }
        __syncwarp();  // SYNC:queries-weights
        add_weighted(a.head_dim, weights, keys, pitch, sums);
        __syncwarp();  // SYNC:queries-done
    }
    store_rows(g.dq + at, width, a.head_dim, own, s.queries, sums);
}

/// A block per sequence, head of keys and tile of keys: rows are keys, lanes queries. The query
/// heads of the group come one after the other, their queries ascending.
template <int CHUNKS>
__global__ void __launch_bounds__(ATTENTION_BLOCK) toward_keys(Attention a, Gradients g) {
    DYNAMIC_SHARED(float, shared);
    const Sequence s(a, blockIdx.x);
    const size_t group = a.heads / a.kv_heads, kv_head = blockIdx.y;
    const uint32_t first = blockIdx.z * TILE;
    if (first >= s.keys) return;
    const size_t width = a.heads * a.head_dim, kv_width = a.kv_heads * a.head_dim;
    const size_t pitch = a.head_dim + 1;
    float *keys = shared, *values = keys + TILE * a.head_dim;
    float *queries = values + TILE * a.head_dim, *slopes = queries + TILE * pitch;
    const size_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float *weights = slopes + TILE * pitch + warp * 2 * ROWS * TILE;
    float *d_scores = weights + ROWS * TILE;
    const uint32_t own = first + (uint32_t)warp * ROWS;

    float dk[ROWS][CHUNKS], dv[ROWS][CHUNKS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) dk[r][c] = dv[r][c] = 0;
    const size_t kv = s.first_key * kv_width + kv_head * a.head_dim;
    load_rows(keys, a.head_dim, g.k + kv, kv_width, a.head_dim, first, s.keys);
    load_rows(values, a.head_dim, g.v + kv, kv_width, a.head_dim, first, s.keys);
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++)
        for (uint32_t query = 0; query < s.queries; query += TILE) {
            const uint32_t i = query + (uint32_t)lane;
            const size_t row = s.first_query + i;
            const Seen seen = i < s.queries ? seen_by(a, row, s.keys) : Seen{0, 0};
            // Every warp holds the same queries in its lanes, so all of them skip or none does.
            if (!__any_sync(ALL_LANES, seen.low < first + TILE && seen.high > first)) continue;
            const float log_sum = i < s.queries ? g.log_sums[row * a.heads + head] : 0;
            const float delta = i < s.queries ? g.deltas[row * a.heads + head] : 0;
            const size_t at = s.first_query * width + head * a.head_dim;
            __syncthreads();  // SYNC:keys-reuse
            load_rows(queries, pitch, g.q + at, width, a.head_dim, query, s.queries);
            load_rows(slopes, pitch, g.d_o + at, width, a.head_dim, query, s.queries);
            __syncthreads();  // SYNC:keys-loaded
            float products[ROWS], d_weights[ROWS];
            multiply_tile(a.head_dim, keys + warp * ROWS * a.head_dim, a.head_dim, queries, pitch,
                          products);
            multiply_tile(a.head_dim, values + warp * ROWS * a.head_dim, a.head_dim, slopes, pitch,
                          d_weights);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                float weight;
                d_scores[r * TILE + lane] = differentiate(a, seen.holds(own + r), products[r],
                                                          d_weights[r], log_sum, delta, weight);
                weights[r * TILE + lane] = weight;
            }
            __syncwarp();  // SYNC:keys-weights
            add_weighted(a.head_dim, d_scores, queries, pitch, dk);
            add_weighted(a.head_dim, weights, slopes, pitch, dv);
            __syncwarp();  // SYNC:keys-done
        }
    store_rows(g.dk + kv, kv_width, a.head_dim, own, s.keys, dk);
    store_rows(g.dv + kv, kv_width, a.head_dim, own, s.keys, dv);
}

template <int CHUNKS>
cairn_status launch_backward(cairn_context *context, const Attention &a, unsigned sequences,
                             uint32_t queries, uint32_t keys, const Gradients &g) {
    const size_t bytes = TILE * (4 * a.head_dim + 2 + TILE) * sizeof(float);
    const size_t key_bytes = bytes + TILE * TILE * sizeof(float);
    cairn_status status = allow_shared(context, (const void *)toward_queries<CHUNKS>, bytes);
    if (status == CAIRN_STATUS_OK)
        status = allow_shared(context, (const void *)toward_keys<CHUNKS>, key_bytes);
    if (status != CAIRN_STATUS_OK) return status;
    if (queries > 0)
        LAUNCH((toward_queries<CHUNKS>), dim3(sequences, (unsigned)a.heads, tiles_of(queries)),
               dim3(ATTENTION_BLOCK), bytes, context->stream, a, g);
    if (keys > 0)
        LAUNCH((toward_keys<CHUNKS>), dim3(sequences, (unsigned)a.kv_heads, tiles_of(keys)),
               dim3(ATTENTION_BLOCK), key_bytes, context->stream, a, g);
    return launched(context, "attention_backward");
}

}  // namespace kernels

cairn_status attention_backward_on_device(cairn_context *context,
                                          const cairn_attention_config *config, const float *q,
                                          const float *k, const float *v, const float *o,
                                          const float *log_sums, const float *d_o, float *dq,
                                          float *dk, float *dv) {
    Attention a;
    uint32_t queries, keys;
    cairn_status status = prepare_attention(context, config, &a, &queries, &keys);
    if (status != CAIRN_STATUS_OK || config->sequence_count == 0) return status;
    const size_t rows = config->query_offsets[config->sequence_count] * a.heads;
    float *deltas = nullptr;
    if (rows > 0) {
        deltas = (float *)scratch(context, rows * sizeof(float));
        if (!deltas) return context->failed;
        LAUNCH(dot_heads, dim3(row_blocks(rows, true)), dim3(ROW_BLOCK), 0, context->stream, rows,
               a.head_dim, o, d_o, deltas);
    }
    const Gradients g = {q, k, v, d_o, log_sums, deltas, dq, dk, dv};
    const unsigned sequences = (unsigned)config->sequence_count;
    if (a.head_dim <= WARP) return launch_backward<1>(context, a, sequences, queries, keys, g);
    if (a.head_dim <= 2 * WARP)
        return launch_backward<2>(context, a, sequences, queries, keys, g);
    if (a.head_dim <= 4 * WARP)
        return launch_backward<4>(context, a, sequences, queries, keys, g);
    return launch_backward<8>(context, a, sequences, queries, keys, g);
}

}  // namespace cairn
