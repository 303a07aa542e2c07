// SPDX-License-Identifier: Apache-2.0
/// Types that every operation shares: status, storage types, the rows of a micro-batch.

#ifndef CAIRN_TYPES_H
#define CAIRN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAIRN_CHECKED __attribute__((warn_unused_result))
#if defined(__clang__)
#define CAIRN_CLOSED __attribute__((enum_extensibility(closed)))
#define CAIRN_AS(name) __attribute__((swift_name(name)))
#else  // nvcc and its host compilers know neither these attributes nor nullability.
#define CAIRN_CLOSED
#define CAIRN_AS(name)
#define _Nonnull
#define _Nullable
#endif

#pragma clang assume_nonnull begin

/// Outcome of every call that can fail. Nothing is written unless it is `CAIRN_STATUS_OK`.
typedef enum CAIRN_CLOSED cairn_status : int32_t {
    CAIRN_STATUS_OK CAIRN_AS("ok") = 0,
    CAIRN_STATUS_INVALID_ARGUMENT CAIRN_AS("invalidArgument") = 1,
    CAIRN_STATUS_UNSUPPORTED_ISA CAIRN_AS("unsupportedISA") = 2,
    CAIRN_STATUS_OUT_OF_MEMORY CAIRN_AS("outOfMemory") = 3,
    CAIRN_STATUS_THREAD_FAILED CAIRN_AS("threadFailed") = 4,
    CAIRN_STATUS_DEVICE_FAILED CAIRN_AS("deviceFailed") = 5,
} cairn_status;

/// How a weight is stored. Activations and gradients are fp32 always.
typedef enum CAIRN_CLOSED cairn_dtype : int32_t {
    CAIRN_DTYPE_F32 CAIRN_AS("f32") = 0,
    CAIRN_DTYPE_BF16 CAIRN_AS("bf16") = 1,
    CAIRN_DTYPE_F16 CAIRN_AS("f16") = 2,
} cairn_dtype;

/// What a matmul multiplies: fp32, or operands rounded to bf16 (nearest even) with fp32 sums.
typedef enum CAIRN_CLOSED cairn_precision : int32_t {
    CAIRN_PRECISION_FP32 CAIRN_AS("fp32") = 0,
    CAIRN_PRECISION_BF16 CAIRN_AS("bf16") = 1,
} cairn_precision;

/// A matrix in memory, row-major: element (i, j) is `data[i * stride + j]`.
typedef struct cairn_matrix {
    const void *data;
    cairn_dtype dtype;
    size_t stride;    ///< Elements from one stored row to the next.
    bool transposed;  ///< The operand is the transpose of what is stored.
} cairn_matrix;

/// Which rows of a value belong to which sequence, and which sequences to which gradient group.
///
/// The sequences of an optimizer step fall into a fixed number of groups by position. A weight
/// gradient accumulates within a group, row by row; a finished group is added to the sum, groups
/// in order. A micro-batch may hold parts of groups: `resumes` says that its first group began
/// earlier, `suspends` that its last one goes on later.
typedef struct cairn_partition {
    size_t sequence_count;
    const uint32_t *offsets;  ///< [sequence_count + 1]: first row of each sequence, then the end.
    size_t group_count;
    const uint32_t *groups;  ///< [group_count + 1]: first sequence of each group, then the end.
    bool resumes;
    bool suspends;
} cairn_partition;

/// Where a parameter's gradient goes. Both are zero at the start of an optimizer step.
typedef struct cairn_gradient {
    float *sum;   ///< Finished groups, added in order.
    float *open;  ///< The group that goes on.
} cairn_gradient;

#pragma clang assume_nonnull end

#endif
