// SPDX-License-Identifier: Apache-2.0
/// How attention is cut into tasks: which sequence, which queries, which heads; which come first.

#ifndef CAIRN_ATTENTION_TASKS_H
#define CAIRN_ATTENTION_TASKS_H

#include "core/core.h"

/// One task of a pass. Which thread takes it changes no bit: no two tasks write the same number.
typedef struct attention_task {
    uint32_t sequence;
    uint32_t first_query, last_query;
    uint32_t first_head, last_head;  ///< Heads of keys.
} attention_task;

/// Heads of short sequences share a task until it has about so many rows: fewer calls, and while
/// one head is computed, the next one is fetched.
enum { ATTENTION_ROWS_PER_TASK = 128 };

/// Lengths are sorted into so many classes.
enum { ATTENTION_LENGTH_CLASSES = 64 };

static inline size_t attention_queries(const cairn_attention_config *c, size_t sequence) {
    return c->query_offsets[sequence + 1] - c->query_offsets[sequence];
}

/// Heads of keys that a task over `queries` queries takes: about equal parts.
static inline size_t attention_heads_per_task(const cairn_attention_config *c, size_t queries) {
    const size_t rows = queries * (c->heads / c->kv_heads);
    if (rows == 0) return c->kv_heads;
    const size_t most = rows < ATTENTION_ROWS_PER_TASK ? ATTENTION_ROWS_PER_TASK / rows : 1;
    const size_t parts = cairn_tiles(c->kv_heads, most);
    return cairn_tiles(c->kv_heads, parts);
}

/// Appends the tasks of a sequence, `tile` queries at a time; with no `tasks` it only counts.
static inline size_t attention_cut(const cairn_attention_config *c, size_t sequence, size_t tile,
                                   attention_task *tasks) {
    const size_t queries = attention_queries(c, sequence);
    size_t count = 0;
    // A sequence without queries still has gradients of its keys to clear.
    for (size_t first = 0; first == 0 || first < queries; first += tile) {
        const size_t last = queries - first < tile ? queries : first + tile;
        const size_t heads = attention_heads_per_task(c, last - first);
        for (size_t head = 0; head < c->kv_heads; head += heads, count++)
            if (tasks)
                tasks[count] = (attention_task){
                    .sequence = (uint32_t)sequence, .first_query = (uint32_t)first,
                    .last_query = (uint32_t)last, .first_head = (uint32_t)head,
                    .last_head = (uint32_t)(head + heads < c->kv_heads ? head + heads
                                                                       : c->kv_heads)};
    }
    return count;
}

static inline size_t attention_task_count(const cairn_attention_config *c, size_t tile) {
    size_t count = 0;
    for (size_t i = 0; i < c->sequence_count; i++) count += attention_cut(c, i, tile, NULL);
    return count;
}

static inline size_t attention_keys(const cairn_attention_config *c, size_t sequence) {
    return c->key_offsets[sequence + 1] - c->key_offsets[sequence];
}

/// Copies tasks, those of long sequences first: what is left at the end is short.
static inline void attention_sort(const cairn_attention_config *c, size_t longest, size_t count,
                                  const attention_task *tasks, attention_task *sorted) {
    size_t starts[ATTENTION_LENGTH_CLASSES + 1] = {0};
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            const size_t length = attention_keys(c, tasks[i].sequence);
            const size_t class = (ATTENTION_LENGTH_CLASSES - 1) * (longest - length)
                / (longest + 1);
            if (pass == 0) {
                starts[class + 1]++;
            } else {
                sorted[starts[class]++] = tasks[i];
            }
        }
        for (size_t k = 0; pass == 0 && k < ATTENTION_LENGTH_CLASSES; k++)
            starts[k + 1] += starts[k];
    }
}

/// Writes the tasks of all sequences, with room for as many more behind them.
///
/// A worker begins with its own share of the tasks: they are of neighbouring rows, as its shares of
/// matmuls and element-wise loops are, and what it wrote there is in its own cache.
static inline void attention_list(const cairn_attention_config *c, size_t tile, size_t workers,
                                  size_t count, attention_task *tasks) {
    attention_task *unsorted = tasks + count;
    size_t longest = 0, written = 0;
    for (size_t i = 0; i < c->sequence_count; i++) {
        if (attention_keys(c, i) > longest) longest = attention_keys(c, i);
        written += attention_cut(c, i, tile, unsorted + written);
    }
    for (size_t w = 0; w < workers; w++) {
        const size_t first = cairn_share(count, w, workers);
        const size_t last = cairn_share(count, w + 1, workers);
        attention_sort(c, longest, last - first, unsorted + first, tasks + first);
    }
}

#endif
