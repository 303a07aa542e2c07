// SPDX-License-Identifier: Apache-2.0
/// Losses per row with the gradient of the logits, and softmax.

#ifndef CAIRN_LOSS_H
#define CAIRN_LOSS_H

#include "cairn_context.h"

#pragma clang assume_nonnull begin

/// p = softmax(x) over each row, the maximum subtracted first. x may be p.
///
/// - Shapes: x, p [rows, classes].
CAIRN_CHECKED cairn_status cairn_softmax(cairn_context *context, size_t rows, size_t classes,
                                         const float *x, float *p);

/// Settings of the cross-entropy.
typedef struct cairn_cross_entropy_config {
    const float *_Nullable class_weights;  ///< [classes], or null for ones.
    float label_smoothing;                 ///< e in [0, 1).
    int32_t ignore_index;                  ///< A row with this target has loss and gradient 0.
    float scale;                           ///< Factor on the gradient: 1 / (sum of weights).
} cairn_cross_entropy_config;

/// Cross-entropy of softmax(logits) with a class id, per row, and scale times its gradient.
///
///     loss = (1 - e) w[y] (-log p[y]) + (e / classes) sum over c of w[c] (-log p[c])
///
/// - Shapes:   logits [rows, classes], targets [rows], losses [rows], d_logits as logits or null.
/// - Aliasing: d_logits may be logits.
/// - Fails:    CAIRN_STATUS_INVALID_ARGUMENT when a target is neither in 0..<classes nor ignored.
/// - Source:   torch.nn.CrossEntropyLoss; the mean over rows divides by the sum of w[y].
CAIRN_CHECKED cairn_status cairn_cross_entropy(cairn_context *context,
                                               const cairn_cross_entropy_config *config,
                                               size_t rows, size_t classes, const float *logits,
                                               const int32_t *targets, float *losses,
                                               float *_Nullable d_logits);

/// Binary cross-entropy with logits, summed over the columns of a row.
///
///     loss = sum over c of max(x, 0) - x t + log(1 + exp(-|x|)),  d = scale (sigmoid(x) - t)
///
/// - Shapes: logits, targets [rows, columns], losses [rows], d_logits as logits or null.
CAIRN_CHECKED cairn_status cairn_binary_cross_entropy(cairn_context *context, size_t rows,
                                                      size_t columns, float scale,
                                                      const float *logits, const float *targets,
                                                      float *losses, float *_Nullable d_logits);

/// Squared error summed over the columns of a row: loss = sum (x - t)^2, d = scale 2 (x - t).
CAIRN_CHECKED cairn_status cairn_squared_error(cairn_context *context, size_t rows, size_t columns,
                                               float scale, const float *x, const float *targets,
                                               float *losses, float *_Nullable dx);

#pragma clang assume_nonnull end

#endif
