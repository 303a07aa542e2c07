// SPDX-License-Identifier: Apache-2.0
/// The seam between the executor and an engine: one entry per operation.

#ifndef CAIRN_BACKEND_H
#define CAIRN_BACKEND_H

#include "cairn_attention.h"
#include "cairn_elementwise.h"
#include "cairn_loss.h"
#include "cairn_matmul.h"
#include "cairn_normalization.h"
#include "cairn_optimizer.h"
#include "cairn_quantized.h"
#include "cairn_random.h"
#include "cairn_rows.h"

#pragma clang assume_nonnull begin

/// What an engine can do. The executor calls these and never asks which engine it is.
///
/// Pointers are the backend's own memory (`allocate`), except in `copy_*`, whose host side is the
/// process's; on the CPU both are the same. Arrays inside a `cairn_partition` or an attention's
/// offsets, and the offsets of `mean_rows`, are the process's too. Each entry has the contract of
/// the function of its name; a device may work behind the caller, and then reports a failure, ids
/// and targets out of range included, from a later call, at the latest from `finish`. `copy_out`
/// waits; after a failure it fills the host's bytes with NaN.
typedef struct cairn_backend {
    const char *name;
    /// Memory of the backend, aligned to 64 bytes, or null when there is none; not cleared.
    void *_Nullable (*_Nonnull allocate)(cairn_context *context, size_t bytes);
    void (*_Nonnull release)(cairn_context *context, void *_Nullable memory);
    void (*_Nonnull zero)(cairn_context *context, void *memory, size_t bytes);
    void (*_Nonnull copy_in)(cairn_context *context, void *device, const void *host, size_t bytes);
    void (*_Nonnull copy_out)(cairn_context *context, void *host, const void *device, size_t bytes);
    /// Waits until everything asked for is done, and reports what failed since the last time.
    cairn_status (*_Nonnull finish)(cairn_context *context);
    /// Why an entry of this context failed last, as a sentence; empty when none did.
    const char *_Nonnull (*_Nonnull failure)(const cairn_context *context);
    cairn_status (*_Nonnull matmul)(
        cairn_context *context, const cairn_matmul_config *config, size_t m, size_t n, size_t k,
        const cairn_matrix *a, const cairn_matrix *b, size_t k2, const cairn_matrix *_Nullable a2,
        const cairn_matrix *_Nullable b2, const float *_Nullable bias, float *c, size_t c_stride);
    cairn_status (*_Nonnull matmul_adapted)(
        cairn_context *context, const cairn_matmul_config *config, size_t m, size_t n, size_t k,
        const cairn_matrix *a, const cairn_matrix *b, const cairn_adapter *adapter, const float
        *_Nullable bias, float *c, size_t c_stride);
    cairn_status (*_Nonnull matmul_gradient)(
        cairn_context *context, cairn_precision precision, const cairn_partition *partition,
        size_t out, size_t in, const float *dy, const float *x, cairn_gradient gradient);
    cairn_status (*_Nonnull quantize_int8)(
        cairn_context *context, size_t rows, size_t columns, const void *w, cairn_dtype dtype,
        int8_t *codes, float *scales, int32_t *sums);
    cairn_status (*_Nonnull quantize_nf4)(
        cairn_context *context, size_t count, const void *w, cairn_dtype dtype, uint8_t *codes,
        int8_t *scales, float *groups);
    cairn_status (*_Nonnull matmul_int8)(
        cairn_context *context, size_t m, size_t n, const float *x, const cairn_int8 *w, const
        float *_Nullable bias, float *c);
    cairn_status (*_Nonnull attention_forward)(
        cairn_context *context, const cairn_attention_config *config, const float *q, const float
        *k, const float *v, float *o, float *log_sums);
    cairn_status (*_Nonnull attention_backward)(
        cairn_context *context, const cairn_attention_config *config, const float *q, const float
        *k, const float *v, const float *o, const float *log_sums, const float *d_o, float *dq,
        float *dk, float *dv);
    cairn_status (*_Nonnull rope)(
        cairn_context *context, size_t rows, size_t heads, size_t half, const uint32_t *positions,
        const float *cosine, const float *sine, bool inverse, const float *x, float *y);
    cairn_status (*_Nonnull rms_norm_forward)(
        cairn_context *context, size_t rows, size_t width, float epsilon, const float *x, const
        void *w, cairn_dtype dtype, float *y, float *inverse_rms);
    cairn_status (*_Nonnull rms_norm_backward)(
        cairn_context *context, size_t rows, size_t width, const float *x, const void *w,
        cairn_dtype dtype, const float *inverse_rms, const float *dy, float *dx);
    cairn_status (*_Nonnull rms_norm_weight_gradient)(
        cairn_context *context, const cairn_partition *partition, size_t repeats, size_t width,
        const float *x, const float *inverse_rms, const float *dy, cairn_gradient dw);
    cairn_status (*_Nonnull layer_norm_forward)(
        cairn_context *context, size_t rows, size_t width, float epsilon, const float *x, const
        void *w, const void *b, cairn_dtype dtype, float *y, float *mean, float *inverse_deviation);
    cairn_status (*_Nonnull layer_norm_backward)(
        cairn_context *context, size_t rows, size_t width, const float *x, const void *w,
        cairn_dtype dtype, const float *mean, const float *inverse_deviation, const float *dy,
        float *dx);
    cairn_status (*_Nonnull layer_norm_weight_gradient)(
        cairn_context *context, const cairn_partition *partition, size_t width, const float *x,
        const float *mean, const float *inverse_deviation, const float *dy, cairn_gradient dw,
        cairn_gradient db);
    cairn_status (*_Nonnull activation_forward)(
        cairn_context *context, cairn_activation function, size_t count, const float *x, float *y);
    cairn_status (*_Nonnull activation_slope)(
        cairn_context *context, cairn_activation function, size_t count, const float *x, float *y,
        float *slope);
    cairn_status (*_Nonnull activation_backward)(
        cairn_context *context, cairn_activation function, size_t count, const float *x, const
        float *dy, float *dx);
    cairn_status (*_Nonnull gated_forward)(
        cairn_context *context, cairn_activation function, size_t count, const float *gate, const
        float *up, float *y);
    cairn_status (*_Nonnull gated_backward)(
        cairn_context *context, cairn_activation function, size_t count, const float *gate, const
        float *up, const float *dy, float *d_gate, float *d_up);
    cairn_status (*_Nonnull add)(
        cairn_context *context, size_t count, const float *a, float scale, const float *b, float
        *y);
    cairn_status (*_Nonnull multiply)(
        cairn_context *context, size_t count, const float *a, const float *b, float *y);
    cairn_status (*_Nonnull scale)(
        cairn_context *context, size_t count, float scale, const float *x, float *y);
    cairn_status (*_Nonnull scale_columns_forward)(
        cairn_context *context, size_t rows, size_t width, const float *z, const float *numerator,
        const float *denominator, const float *_Nullable bias, float *y);
    cairn_status (*_Nonnull scale_columns_backward)(
        cairn_context *context, size_t rows, size_t width, const float *dy, const float
        *numerator, const float *denominator, float *dz);
    cairn_status (*_Nonnull scale_columns_gradient)(
        cairn_context *context, const cairn_partition *partition, size_t width, const float *dy,
        const float *z, const float *denominator, cairn_gradient d_numerator);
    cairn_status (*_Nonnull dora_norm)(
        cairn_context *context, size_t out, size_t in, size_t rank, float scale, const void *w,
        cairn_dtype dtype, const float *a, const float *b, float *norm);
    cairn_status (*_Nonnull bias_gradient)(
        cairn_context *context, const cairn_partition *partition, size_t width, const float *dy,
        cairn_gradient db);
    cairn_status (*_Nonnull widen)(
        cairn_context *context, size_t count, const void *source, cairn_dtype dtype, float
        *destination);
    cairn_status (*_Nonnull embedding_forward)(
        cairn_context *context, size_t rows, size_t width, size_t vocabulary, const int32_t *ids,
        const void *table, cairn_dtype dtype, float *y);
    cairn_status (*_Nonnull embedding_gradient)(
        cairn_context *context, const cairn_partition *partition, size_t width, size_t vocabulary,
        const int32_t *ids, const float *dy, cairn_gradient d_table);
    cairn_status (*_Nonnull gather_rows)(
        cairn_context *context, size_t count, size_t rows, size_t width, const uint32_t *indices,
        const float *x, float *y);
    cairn_status (*_Nonnull scatter_rows)(
        cairn_context *context, size_t count, size_t rows, size_t width, const uint32_t *indices,
        const float *dy, float *dx);
    cairn_status (*_Nonnull mean_rows_forward)(
        cairn_context *context, size_t sequences, size_t width, const uint32_t *offsets, const
        float *x, float *y);
    cairn_status (*_Nonnull mean_rows_backward)(
        cairn_context *context, size_t sequences, size_t width, const uint32_t *offsets, const
        float *dy, float *dx);
    cairn_status (*_Nonnull softmax)(
        cairn_context *context, size_t rows, size_t classes, const float *x, float *p);
    cairn_status (*_Nonnull cross_entropy)(
        cairn_context *context, const cairn_cross_entropy_config *config, size_t rows, size_t
        classes, const float *logits, const int32_t *targets, float *losses, float *_Nullable
        d_logits);
    cairn_status (*_Nonnull binary_cross_entropy)(
        cairn_context *context, size_t rows, size_t columns, float scale, const float *logits,
        const float *targets, float *losses, float *_Nullable d_logits);
    cairn_status (*_Nonnull squared_error)(
        cairn_context *context, size_t rows, size_t columns, float scale, const float *x, const
        float *targets, float *losses, float *_Nullable dx);
    cairn_status (*_Nonnull sum_of_squares)(
        cairn_context *context, size_t count, const float *x, double *sum);
    cairn_status (*_Nonnull adam_step)(
        cairn_context *context, const cairn_adam_config *config, uint64_t t, size_t count, float
        *p, const float *g, float *m, float *v);
    cairn_status (*_Nonnull adamw_step)(
        cairn_context *context, const cairn_adam_config *config, uint64_t t, size_t count, float
        *p, const float *g, float *m, float *v);
    cairn_status (*_Nonnull sgd_step)(
        cairn_context *context, const cairn_sgd_config *config, size_t count, float *p, const
        float *g, float *_Nullable u);
    cairn_status (*_Nonnull lion_step)(
        cairn_context *context, const cairn_lion_config *config, size_t count, float *p, const
        float *g, float *m);
    cairn_status (*_Nonnull dropout)(
        cairn_context *context, const cairn_dropout_config *config, size_t rows, size_t width,
        const uint32_t *row_ids, const uint32_t *positions, const float *x, float *y);
} cairn_backend;

/// The engine of this library, on the CPU.
extern const cairn_backend cairn_backend_cpu;

#pragma clang assume_nonnull end

#endif
