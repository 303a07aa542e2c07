// SPDX-License-Identifier: Apache-2.0
/// Entry points of the random numbers: a Philox block, and dropout in tiles of rows.

#include "core/core.h"

/// Elements that one task takes, in whole rows.
enum { GRAIN = 8192 };

void cairn_philox(uint32_t counter[4], const uint32_t key[2]) {
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)counter[0] * 0xD2511F53u;
        const uint64_t b = (uint64_t)counter[2] * 0xCD9E8D57u;
        counter[0] = (uint32_t)(b >> 32) ^ counter[1] ^ k0;
        counter[2] = (uint32_t)(a >> 32) ^ counter[3] ^ k1;
        counter[1] = (uint32_t)b;
        counter[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

typedef struct dropout_call {
    const cairn_random_kernels *kernels;
    const cairn_dropout_config *config;
    size_t rows, width, grain;
    int32_t threshold;
    float factor;
    const uint32_t *row_ids, *positions;
    const float *x;
    float *y;
} dropout_call;

static void dropout_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const dropout_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->width;
    call->kernels->dropout(call->config->key, call->config->step, call->threshold, call->factor,
                           r.end - r.begin, call->width, call->row_ids + r.begin,
                           call->positions + r.begin, call->x + offset, call->y + offset);
}

cairn_status cairn_dropout(cairn_context *context, const cairn_dropout_config *config, size_t rows,
                           size_t width, const uint32_t *row_ids, const uint32_t *positions,
                           const float *x, float *y) {
    size_t elements;
    const double p = (double)config->probability, scaled = p * 0x1p24;
    if (!(p >= 0 && p < 1) || __builtin_mul_overflow(rows, width, &elements))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const int32_t floor = (int32_t)scaled;
    const dropout_call call = {
        .kernels = context->kernels->random,
        .config = config,
        .rows = rows,
        .width = width,
        .grain = width < GRAIN && width > 0 ? GRAIN / width : 1,
        .threshold = (double)floor < scaled ? floor + 1 : floor,
        .factor = (float)(1 / (1 - p)),
        .row_ids = row_ids,
        .positions = positions,
        .x = x,
        .y = y,
    };
    cairn_parallel(context, cairn_tiles(rows, call.grain), dropout_task, &call);
    return CAIRN_STATUS_OK;
}
