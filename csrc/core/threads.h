// SPDX-License-Identifier: Apache-2.0
/// The pool of workers that a context owns.

#ifndef CAIRN_THREADS_H
#define CAIRN_THREADS_H

#include "cairn_types.h"

struct cairn_pool;

/// Starts `workers` threads; none is a valid number.
cairn_status cairn_pool_create(size_t workers, struct cairn_pool **pool);

/// Stops and joins the workers.
void cairn_pool_destroy(struct cairn_pool *pool);

/// Keeps one more worker, or one less, away from loops; from any thread. Without workers nothing
/// happens.
void cairn_pool_lend(struct cairn_pool *pool);
void cairn_pool_take_back(struct cairn_pool *pool);

#endif
