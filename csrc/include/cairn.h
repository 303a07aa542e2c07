// SPDX-License-Identifier: Apache-2.0
/// The engine, as Swift sees it: one object, one table of operations.

#ifndef CAIRN_H
#define CAIRN_H

#include "cairn_types.h"
#include "cairn_context.h"
#include "cairn_matmul.h"
#include "cairn_attention.h"
#include "cairn_normalization.h"
#include "cairn_elementwise.h"
#include "cairn_rows.h"
#include "cairn_loss.h"
#include "cairn_optimizer.h"
#include "cairn_random.h"
#include "cairn_quantized.h"
#include "cairn_backend.h"

#endif
