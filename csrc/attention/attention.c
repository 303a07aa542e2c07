// SPDX-License-Identifier: Apache-2.0
/// Entry points of attention and rotary embedding: which task takes which sequence and head.

#include "attention/attention_tasks.h"
#include "core/core.h"

/// Elements that one task of the rotation takes, in whole rows.
enum { GRAIN = 8192 };

typedef struct attention_call {
    const cairn_attention_kernels *kernels;
    const cairn_attention_config *config;
    const float *q, *k, *v, *o, *log_sums, *d_o;
    float *o_out, *log_sums_out, *dq, *dk, *dv;
    float *scratch;
    size_t scratch_stride, group, query_tile, task_count, workers;
    attention_task *tasks;
} attention_call;

static bool is_valid(const cairn_attention_config *c) {
    size_t width;
    if (c->heads == 0 || c->kv_heads == 0 || c->heads % c->kv_heads != 0 || c->head_dim == 0
        || __builtin_mul_overflow(c->heads, c->head_dim, &width)
        || c->query_offsets[0] != 0 || c->key_offsets[0] != 0)
        return false;
    for (size_t i = 0; i < c->sequence_count; i++)
        if (c->query_offsets[i] > c->query_offsets[i + 1]
            || c->key_offsets[i] > c->key_offsets[i + 1])
            return false;
    size_t elements;
    return !__builtin_mul_overflow(c->query_offsets[c->sequence_count], width, &elements)
        && !__builtin_mul_overflow(c->key_offsets[c->sequence_count], width, &elements);
}

/// The part of the operands that belongs to a task and one of its heads of keys.
static cairn_attention_head head_of(const attention_call *call, const attention_task *task,
                                    size_t kv_head) {
    const cairn_attention_config *c = call->config;
    const size_t sequence = task->sequence;
    const size_t first = c->query_offsets[sequence], key = c->key_offsets[sequence];
    const size_t stride = c->heads * c->head_dim, key_stride = c->kv_heads * c->head_dim;
    const size_t sum = first * c->heads + kv_head * call->group, at = sum * c->head_dim;
    const size_t key_at = key * key_stride + kv_head * c->head_dim;
    cairn_attention_head head = {
        .group = call->group, .head_dim = c->head_dim, .query_stride = stride,
        .key_stride = key_stride, .sum_stride = c->heads,
        .queries = c->query_offsets[sequence + 1] - first,
        .keys = c->key_offsets[sequence + 1] - key, .scale = c->scale, .causal = c->causal,
        .window = c->window, .begin = task->first_query, .end = task->last_query,
        .positions = c->query_positions + first, .q = call->q + at, .k = call->k + key_at,
        .v = call->v + key_at};
    if (call->o_out) {
        head.o_out = call->o_out + at;
        head.log_sums_out = call->log_sums_out + sum;
    } else {
        head.o = call->o + at;
        head.log_sums = call->log_sums + sum;
        head.d_o = call->d_o + at;
        head.dq = call->dq + at;
        head.dk = call->dk + key_at;
        head.dv = call->dv + key_at;
    }
    return head;
}

/// Where a worker takes this task and the following one as its own share, the latter; or null.
static const attention_task *following_task(const attention_call *call, size_t tile,
                                            size_t worker) {
    const size_t first = cairn_share(call->task_count, worker, call->workers);
    const size_t last = cairn_share(call->task_count, worker + 1, call->workers);
    return tile >= first && tile + 1 < last ? &call->tasks[tile + 1] : NULL;
}

/// Runs a task head by head; `forward` or else backward.
static void run_heads(const attention_call *call, size_t tile, size_t worker, bool forward) {
    const attention_task *task = &call->tasks[tile];
    const attention_task *following = following_task(call, tile, worker);
    float *scratch = call->scratch + worker * call->scratch_stride;
    cairn_attention_head head = head_of(call, task, task->first_head);
    for (size_t h = task->first_head; h < task->last_head; h++) {
        cairn_attention_head next = head;
        const bool has_next = h + 1 < task->last_head || following;
        if (h + 1 < task->last_head) {
            next = head_of(call, task, h + 1);
        } else if (following) {
            next = head_of(call, following, following->first_head);
        }
        if (forward) {
            call->kernels->forward(&head, has_next ? &next : NULL, scratch);
        } else {
            call->kernels->backward(&head, has_next ? &next : NULL, call->query_tile, scratch);
        }
        head = next;
    }
}

static void forward_task(const void *arguments, size_t tile, size_t worker) {
    run_heads(arguments, tile, worker, true);
}

static void backward_task(const void *arguments, size_t tile, size_t worker) {
    run_heads(arguments, tile, worker, false);
}

/// Fills in what both passes need, tasks of `tile` queries among it; false when the scratch memory
/// cannot grow.
static bool prepare(cairn_context *context, attention_call *call, size_t tile) {
    const cairn_attention_config *c = call->config;
    call->kernels = context->kernels->attention;
    call->group = c->heads / c->kv_heads;
    call->query_tile = cairn_attention_query_tile(call->group);
    call->scratch_stride = (cairn_attention_scratch(call->group, c->head_dim) + 15) / 16 * 16;
    call->task_count = attention_task_count(c, tile);
    call->workers = cairn_context_threads(context);
    const size_t floats = call->workers * call->scratch_stride;
    char *scratch = cairn_scratch(
        context, floats * sizeof(float) + 2 * call->task_count * sizeof(attention_task));
    if (!scratch) return false;
    call->scratch = (float *)scratch;
    call->tasks = (attention_task *)(scratch + floats * sizeof(float));
    attention_list(c, tile, call->workers, call->task_count, call->tasks);
    return true;
}

cairn_status cairn_attention_forward(cairn_context *context, const cairn_attention_config *config,
                                     const float *q, const float *k, const float *v, float *o,
                                     float *log_sums) {
    if (!is_valid(config)) return CAIRN_STATUS_INVALID_ARGUMENT;
    attention_call call = {.config = config, .q = q, .k = k, .v = v, .o_out = o,
                           .log_sums_out = log_sums};
    const size_t tile = cairn_attention_query_tile(config->heads / config->kv_heads);
    if (!prepare(context, &call, tile)) return CAIRN_STATUS_OUT_OF_MEMORY;
    cairn_parallel(context, call.task_count, forward_task, &call);
    return CAIRN_STATUS_OK;
}

cairn_status cairn_attention_backward(cairn_context *context, const cairn_attention_config *config,
                                      const float *q, const float *k, const float *v,
                                      const float *o, const float *log_sums, const float *d_o,
                                      float *dq, float *dk, float *dv) {
    if (!is_valid(config)) return CAIRN_STATUS_INVALID_ARGUMENT;
    attention_call call = {.config = config, .q = q, .k = k, .v = v, .o = o,
                           .log_sums = log_sums, .d_o = d_o, .dq = dq, .dk = dk, .dv = dv};
    // All queries in one task: dk and dv sum over them in order.
    if (!prepare(context, &call, SIZE_MAX)) return CAIRN_STATUS_OUT_OF_MEMORY;
    cairn_parallel(context, call.task_count, backward_task, &call);
    return CAIRN_STATUS_OK;
}

typedef struct rope_call {
    const cairn_attention_kernels *kernels;
    size_t rows, heads, half, grain;
    const uint32_t *positions;
    const float *cosine, *sine, *x;
    bool inverse;
    float *y;
} rope_call;

static void rope_task(const void *arguments, size_t tile, size_t worker) {
    (void)worker;
    const rope_call *call = arguments;
    const cairn_range r = cairn_tile(call->rows, call->grain, tile);
    const size_t offset = r.begin * call->heads * 2 * call->half;
    call->kernels->rope(r.end - r.begin, call->heads, call->half, call->positions + r.begin,
                        call->cosine, call->sine, call->inverse, call->x + offset,
                        call->y + offset);
}

cairn_status cairn_rope(cairn_context *context, size_t rows, size_t heads, size_t half,
                        const uint32_t *positions, const float *cosine, const float *sine,
                        bool inverse, const float *x, float *y) {
    size_t width, elements;
    if (__builtin_mul_overflow(heads * 2, half, &width)
        || __builtin_mul_overflow(rows, width, &elements))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    const rope_call call = {.kernels = context->kernels->attention, .rows = rows, .heads = heads,
                            .half = half, .grain = width < GRAIN && width > 0 ? GRAIN / width : 1,
                            .positions = positions, .cosine = cosine, .sine = sine, .x = x,
                            .inverse = inverse, .y = y};
    cairn_parallel(context, cairn_tiles(rows, call.grain), rope_task, &call);
    return CAIRN_STATUS_OK;
}
