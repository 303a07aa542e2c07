// SPDX-License-Identifier: Apache-2.0
/// Attention forward: softmax(scale q k^T + mask) v with a running maximum, tile by tile
/// (cairn_attention.h).

#include "attention.cuh"

namespace cairn {

cairn_status prepare_attention(cairn_context *context, const cairn_attention_config *config,
                               Attention *attention, uint32_t *most_queries,
                               uint32_t *most_keys) {
    const cairn_attention_config &c = *config;
    bool valid = c.heads > 0 && c.kv_heads > 0 && c.heads % c.kv_heads == 0 && c.head_dim > 0
        && c.heads <= 65535 && c.query_offsets[0] == 0 && c.key_offsets[0] == 0;
    *most_queries = *most_keys = 0;
    for (size_t i = 0; i < c.sequence_count; i++) {
        const uint32_t queries = c.query_offsets[i + 1] - c.query_offsets[i];
        const uint32_t keys = c.key_offsets[i + 1] - c.key_offsets[i];
        valid = valid && c.query_offsets[i] <= c.query_offsets[i + 1]
            && c.key_offsets[i] <= c.key_offsets[i + 1];
        if (queries > *most_queries) *most_queries = queries;
        if (keys > *most_keys) *most_keys = keys;
    }
    if (!valid) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (c.head_dim > LONGEST_HEAD)
        return fail(context, CAIRN_STATUS_DEVICE_FAILED,
                    "cuda:%d: a head of attention has %zu features, at most %zu are supported",
                    context->device, c.head_dim, LONGEST_HEAD);
    *attention = {};
    attention->heads = c.heads;
    attention->kv_heads = c.kv_heads;
    attention->head_dim = c.head_dim;
    attention->window = c.window;
    attention->positions = c.query_positions;
    attention->scale = c.scale;
    attention->causal = c.causal;
    attention->query_offsets = upload(context, c.query_offsets, c.sequence_count + 1);
    if (!attention->query_offsets) return context->failed;
    attention->key_offsets = upload(context, c.key_offsets, c.sequence_count + 1);
    return attention->key_offsets ? CAIRN_STATUS_OK : context->failed;
}

inline namespace kernels {

/// From scores to weights exp(s - m) of one row; sum and output so far shrink by exp(m - m').
template <int CHUNKS>
__device__ __forceinline__ float soften(float score, bool is_seen, float &maximum, float &sum,
                                        float (&out)[CHUNKS]) {
    const float before = maximum;
    const float largest = over_warp(is_seen ? score : -INFINITE, Larger());
    maximum = largest > before ? largest : before;
    const float shrink = maximum != before ? exp_bounded(before - maximum) : 1;
    const float weight = is_seen ? exp_bounded(score - maximum) : 0;
    sum = sum * shrink + over_warp(weight, Add());
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) out[c] *= shrink;
    return weight;
}

/// A block per sequence, head and tile of queries.
template <int CHUNKS>
__global__ void __launch_bounds__(ATTENTION_BLOCK)
attend(Attention a, const float *q, const float *k, const float *v, float *o, float *log_sums) {
    DYNAMIC_SHARED(float, shared);
    const Sequence s(a, blockIdx.x);
    const size_t head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
    const uint32_t first = blockIdx.z * TILE;
    if (first >= s.queries) return;
    const size_t width = a.heads * a.head_dim, kv_width = a.kv_heads * a.head_dim;
    const size_t pitch = a.head_dim + 1;  // So that a warp's keys lie in different banks.
    float *queries = shared, *keys = queries + TILE * a.head_dim, *values = keys + TILE * pitch;
    float *all_weights = values + TILE * a.head_dim;

    const size_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const uint32_t own = first + (uint32_t)warp * ROWS;
    float *weights = all_weights + warp * ROWS * TILE;
    Seen seen[ROWS];
    float maxima[ROWS], sums[ROWS], out[ROWS][CHUNKS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        seen[r] = own + r < s.queries ? seen_by(a, s.first_query + own + r, s.keys) : Seen{0, 0};
        maxima[r] = -INFINITE;
        sums[r] = 0;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) out[r][c] = 0;
    }
    load_rows(queries, a.head_dim, q + s.first_query * width + head * a.head_dim, width,
              a.head_dim, first, s.queries);
    const Seen all = seen_by_tile(a, s, first);
    const size_t kv = s.first_key * kv_width + kv_head * a.head_dim;
    for (uint32_t key = all.low / TILE * TILE; key < all.high; key += TILE) {
        __syncthreads();  // SYNC:attend-reuse
        load_rows(keys, pitch, k + kv, kv_width, a.head_dim, key, s.keys);
        load_rows(values, a.head_dim, v + kv, kv_width, a.head_dim, key, s.keys);
        __syncthreads();  // SYNC:attend-loaded
        float scores[ROWS];
        multiply_tile(a.head_dim, queries + warp * ROWS * a.head_dim, a.head_dim, keys, pitch,
                      scores);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            weights[r * TILE + lane] =
                soften(scores[r] * a.scale, seen[r].holds(key + (uint32_t)lane), maxima[r],
                       sums[r], out[r]);
        __syncwarp();  // SYNC:attend-weights
        add_weighted(a.head_dim, weights, values, a.head_dim, out);
        __syncwarp();  // SYNC:attend-done
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const float inverse = sums[r] == 0 ? 0 : 1 / sums[r];
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) out[r][c] *= inverse;
        if (lane == 0 && own + r < s.queries)
            log_sums[(s.first_query + own + r) * a.heads + head] = maxima[r] + log_of(sums[r]);
    }
    store_rows(o + s.first_query * width + head * a.head_dim, width, a.head_dim, own, s.queries,
               out);
}

template <int CHUNKS>
cairn_status launch_attend(cairn_context *context, const Attention &a, dim3 grid, const float *q,
                           const float *k, const float *v, float *o, float *log_sums) {
    const size_t bytes = TILE * (3 * a.head_dim + 1 + TILE) * sizeof(float);
    const cairn_status status = allow_shared(context, (const void *)attend<CHUNKS>, bytes);
    if (status != CAIRN_STATUS_OK) return status;
    LAUNCH((attend<CHUNKS>), grid, dim3(ATTENTION_BLOCK), bytes, context->stream, a, q, k, v, o,
           log_sums);
    return launched(context, "attention_forward");
}

}  // namespace kernels

cairn_status attention_forward_on_device(cairn_context *context,
                                         const cairn_attention_config *config, const float *q,
                                         const float *k, const float *v, float *o,
                                         float *log_sums) {
    Attention a;
    uint32_t queries, keys;
    const cairn_status status = prepare_attention(context, config, &a, &queries, &keys);
    if (status != CAIRN_STATUS_OK || queries == 0) return status;
    const dim3 grid((unsigned)config->sequence_count, (unsigned)a.heads, tiles_of(queries));
    if (a.head_dim <= WARP) return launch_attend<1>(context, a, grid, q, k, v, o, log_sums);
    if (a.head_dim <= 2 * WARP) return launch_attend<2>(context, a, grid, q, k, v, o, log_sums);
    if (a.head_dim <= 4 * WARP) return launch_attend<4>(context, a, grid, q, k, v, o, log_sums);
    return launch_attend<8>(context, a, grid, q, k, v, o, log_sums);
}

}  // namespace cairn
