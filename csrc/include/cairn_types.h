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
///
/// The data of a weight in I8 is a `cairn_int8`, that of one in NF4 a `cairn_nf4`; both are read on
/// the CPU only, and element i of theirs is that of the row-major matrix.
typedef enum CAIRN_CLOSED cairn_dtype : int32_t {
    CAIRN_DTYPE_F32 CAIRN_AS("f32") = 0,
    CAIRN_DTYPE_BF16 CAIRN_AS("bf16") = 1,
    CAIRN_DTYPE_F16 CAIRN_AS("f16") = 2,
    CAIRN_DTYPE_I8 CAIRN_AS("i8") = 3,
    CAIRN_DTYPE_NF4 CAIRN_AS("nf4") = 4,
} cairn_dtype;

/// A weight in 8 bits: W[o, i] = scales[o] * codes[o * stride + i], rounded once.
typedef struct cairn_int8 {
    const int8_t *codes;  ///< [rows, stride] in -127...127; zeros behind the last column.
    const float *scales;  ///< [rows]
    const int32_t *sums;  ///< [rows]: the sum of a row's codes.
    size_t columns;
    size_t stride;  ///< Codes from one row to the next: a multiple of 64.
} cairn_int8;

enum {
    CAIRN_NF4_BLOCK = 64,   ///< Elements that share a scale.
    CAIRN_NF4_GROUP = 256,  ///< Blocks that share what their scales are made of.
};

/// A weight in 4 bits (NormalFloat, Dettmers et al. 2023, arXiv:2305.14314).
///
///     W[e] = table[code(e)] * s(e / 64),   s(b) = fma(scales[b], step(b / 256), offset(b / 256))
///
/// each product rounded once. Elements are counted through the whole matrix, blocks do not end with
/// rows.
typedef struct cairn_nf4 {
    const uint8_t *codes;   ///< [(count + 1) / 2]: the even element in the high half.
    const int8_t *scales;   ///< [(count + 63) / 64] in -127...127.
    const float *groups;    ///< [(blocks + 255) / 256, 2]: offset and step.
} cairn_nf4;

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
