// SPDX-License-Identifier: Apache-2.0
/// What the attention kernels share: which query sees which key, tiles in shared memory.

#ifndef CAIRN_CUDA_ATTENTION_CUH
#define CAIRN_CUDA_ATTENTION_CUH

#include "context.h"
#include "reduce.cuh"

namespace cairn {

/// Queries of a tile, and keys of a tile: a lane's worth, counted from the start of a sequence.
constexpr int TILE = WARP;

/// Warps of a block, and the rows of a tile that each takes.
constexpr int ATTENTION_WARPS = 4;
constexpr int ATTENTION_BLOCK = ATTENTION_WARPS * WARP;
constexpr int ROWS = TILE / ATTENTION_WARPS;

/// The longest head: a lane keeps this / 32 features of each of its rows in registers.
constexpr size_t LONGEST_HEAD = 256;

/// A `cairn_attention_config` with its arrays on the device.
struct Attention {
    size_t heads, kv_heads, head_dim, window;
    const uint32_t *query_offsets, *key_offsets, *positions;
    float scale;
    bool causal;
};

/// The keys low ..< high of a sequence that one of its queries sees.
struct Seen {
    uint32_t low, high;

    __device__ __forceinline__ bool holds(uint32_t key) const { return low <= key && key < high; }
};

__device__ __forceinline__ Seen seen_by(const Attention &a, size_t query, uint32_t keys) {
    Seen seen = {0, keys};
    if (a.causal) {
        const uint32_t position = a.positions[query];
        if (position < seen.high) seen.high = position + 1;
        if (a.window > 0 && position >= a.window) seen.low = position + 1 - (uint32_t)a.window;
        if (seen.low > seen.high) seen.low = seen.high;
    }
    return seen;
}

/// The part of a sequence's rows that a block works on.
struct Sequence {
    size_t first_query, first_key;
    uint32_t queries, keys;

    __device__ __forceinline__ Sequence(const Attention &a, size_t sequence)
        : first_query(a.query_offsets[sequence]), first_key(a.key_offsets[sequence]),
          queries(a.query_offsets[sequence + 1] - a.query_offsets[sequence]),
          keys(a.key_offsets[sequence + 1] - a.key_offsets[sequence]) {}
};

/// The keys that some query of a tile sees: the same answer in every thread.
__device__ __forceinline__ Seen seen_by_tile(const Attention &a, const Sequence &s,
                                             uint32_t first) {
    Seen all = {s.keys, 0};
    for (uint32_t i = first; i < first + TILE && i < s.queries; i++) {
        const Seen one = seen_by(a, s.first_query + i, s.keys);
        if (one.low < one.high && one.low < all.low) all.low = one.low;
        if (one.low < one.high && one.high > all.high) all.high = one.high;
    }
    return all;
}

/// tile[i, .] = rows[first + i, .] of one head, zeros from `count` on; `pitch` floats per row.
__device__ __forceinline__ void load_rows(float *tile, size_t pitch, const float *rows,
                                          size_t stride, size_t head_dim, uint32_t first,
                                          uint32_t count) {
    for (size_t e = threadIdx.x; e < TILE * head_dim; e += ATTENTION_BLOCK) {
        const size_t i = e / head_dim, d = e % head_dim;
        tile[i * pitch + d] = first + i < count ? rows[(first + i) * stride + d] : 0;
    }
}

/// products[r] = rows[r, .] . columns[lane, .]: a warp's rows against the tile's other side.
__device__ __forceinline__ void multiply_tile(size_t head_dim, const float *rows, size_t row_pitch,
                                              const float *columns, size_t column_pitch,
                                              float (&products)[ROWS]) {
    const float *column = columns + threadIdx.x % WARP * column_pitch;
#pragma unroll
    for (int r = 0; r < ROWS; r++) products[r] = 0;
    for (size_t d = 0; d < head_dim; d++) {
        const float value = column[d];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            products[r] = fmaf(rows[r * row_pitch + d], value, products[r]);
    }
}

/// sums[r][c] += weights[r, j] columns[j, 32 c + lane] over the j of a tile, ascending.
template <int CHUNKS>
__device__ __forceinline__ void add_weighted(size_t head_dim, const float *weights,
                                             const float *columns, size_t pitch,
                                             float (&sums)[ROWS][CHUNKS]) {
    const size_t lane = threadIdx.x % WARP;
    for (int j = 0; j < TILE; j++)
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const size_t d = c * WARP + lane;
            const float value = d < head_dim ? columns[j * pitch + d] : 0;
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                sums[r][c] = fmaf(weights[r * TILE + j], value, sums[r][c]);
        }
}

/// rows[first + r, .] of one head = sums[r], for the rows below `count`.
template <int CHUNKS>
__device__ __forceinline__ void store_rows(float *rows, size_t stride, size_t head_dim,
                                           uint32_t first, uint32_t count,
                                           const float (&sums)[ROWS][CHUNKS]) {
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const size_t d = c * WARP + threadIdx.x % WARP;
            if (first + r < count && d < head_dim) rows[(first + r) * stride + d] = sums[r][c];
        }
}

/// Checks a configuration, uploads its offsets, and finds the longest sequence of either side.
cairn_status prepare_attention(cairn_context *context, const cairn_attention_config *config,
                               Attention *attention, uint32_t *most_queries, uint32_t *most_keys);

inline unsigned tiles_of(uint32_t rows) { return (rows + TILE - 1) / TILE; }

/// Lets a kernel use more shared memory than every device grants unasked.
inline cairn_status allow_shared(cairn_context *context, const void *kernel, size_t bytes) {
    if (bytes <= 48 << 10) return CAIRN_STATUS_OK;
    return check(context,
                 cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      (int)bytes),
                 "shared memory of attention");
}

}  // namespace cairn

#endif
