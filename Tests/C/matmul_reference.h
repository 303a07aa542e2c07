// SPDX-License-Identifier: Apache-2.0
/// The definition of the products, element by element, with denormals flushed by hand.

#ifndef CAIRN_MATMUL_REFERENCE_H
#define CAIRN_MATMUL_REFERENCE_H

#include <math.h>

#include "check.h"

#pragma STDC FP_CONTRACT OFF

/// What the engine's threads do to every operand and result: a denormal is a zero of its sign.
static inline float flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static inline float fma_reference(float a, float b, float c) {
    return flush(fmaf(flush(a), flush(b), flush(c)));
}

static inline float add_reference(float a, float b) { return flush(flush(a) + flush(b)); }

static inline float round_bf16_reference(float x) {
    if (isnan(x) || isinf(x)) return x;
    uint32_t bits, below;
    memcpy(&bits, &x, sizeof bits);
    below = bits & 0xffff;
    bits &= 0xffff0000;
    if (below > 0x8000 || (below == 0x8000 && (bits & 0x10000))) bits += 0x10000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float element_reference(const cairn_matrix *x, size_t i, size_t j) {
    const size_t at = x->transposed ? j * x->stride + i : i * x->stride + j;
    if (x->dtype == CAIRN_DTYPE_F32) return ((const float *)x->data)[at];
    const uint16_t word = ((const uint16_t *)x->data)[at];
    if (x->dtype == CAIRN_DTYPE_BF16) {
        const uint32_t bits = (uint32_t)word << 16;
        float result;
        memcpy(&result, &bits, sizeof result);
        return result;
    }
    const int exponent = word >> 10 & 31, mantissa = word & 1023;
    const float magnitude = exponent == 31  ? (mantissa ? NAN : INFINITY)
                            : exponent == 0 ? ldexpf((float)mantissa, -24)
                                            : ldexpf((float)(1024 + mantissa), exponent - 25);
    return word & 0x8000 ? -magnitude : magnitude;
}

/// One part of the chain that ends in element (i, j).
static inline float chain_reference(float sum, cairn_precision precision, size_t k,
                                    const cairn_matrix *a, const cairn_matrix *b, size_t i,
                                    size_t j) {
    if (precision == CAIRN_PRECISION_FP32) {
        for (size_t p = 0; p < k; p++)
            sum = fma_reference(element_reference(a, i, p), element_reference(b, p, j), sum);
        return sum;
    }
    for (size_t p = 0; p < k; p += 2)
        for (size_t q = p + 2; q-- > p;)
            sum = q < k ? fma_reference(round_bf16_reference(element_reference(a, i, q)),
                                        round_bf16_reference(element_reference(b, q, j)), sum)
                        : fma_reference(0, 0, sum);
    return sum;
}

static inline void matmul_reference(const cairn_matmul_config *config, size_t m, size_t n,
                                    size_t k, const cairn_matrix *a, const cairn_matrix *b,
                                    size_t k2, const cairn_matrix *a2, const cairn_matrix *b2,
                                    const float *bias, float *c, size_t c_stride) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = chain_reference(0, config->precision, k, a, b, i, j);
            sum = chain_reference(sum, config->precision, k2, a2, b2, i, j);
            if (config->scale != 1) sum = flush(sum * config->scale);
            if (bias) sum = add_reference(sum, bias[j]);
            if (config->accumulate) sum = add_reference(sum, c[i * c_stride + j]);
            c[i * c_stride + j] = sum;
        }
}

/// A weight gradient over a whole step, group by group.
static inline void gradient_reference(cairn_precision precision, const uint32_t *offsets,
                                      size_t group_count, const uint32_t *groups, size_t out,
                                      size_t in, const float *dy, const float *x, float *sum) {
    for (size_t g = 0; g < group_count; g++)
        for (size_t o = 0; o < out; o++)
            for (size_t i = 0; i < in; i++) {
                float chain = 0;
                for (size_t s = groups[g]; s < groups[g + 1]; s++) {
                    const size_t rows = offsets[s + 1] - offsets[s];
                    const cairn_matrix a = {dy + offsets[s] * out, CAIRN_DTYPE_F32, out, true};
                    const cairn_matrix b = {x + offsets[s] * in, CAIRN_DTYPE_F32, in, false};
                    chain = chain_reference(chain, precision, rows, &a, &b, o, i);
                }
                sum[o * in + i] = add_reference(sum[o * in + i], chain);
            }
}

/// Names of the instruction sets, by number.
__attribute__((unused)) static const char *const isa_names[] = {"scalar", "NEON", "AVX2",
                                                                "AVX-512", "AVX512-BF16"};

/// Random numbers, halves below 2, stored so that no byte lies behind the last element.
static inline cairn_matrix random_matrix(size_t rows, size_t columns, bool transposed,
                                         cairn_dtype dtype, size_t gap) {
    const size_t lines = transposed ? columns : rows, length = transposed ? rows : columns;
    const size_t stride = length + gap;
    const size_t count = lines == 0 || length == 0 ? 0 : (lines - 1) * stride + length;
    void *data = exact(count * (dtype == CAIRN_DTYPE_F32 ? 4 : 2));
    for (size_t i = 0; i < count; i++) {
        if (dtype == CAIRN_DTYPE_F32)
            ((float *)data)[i] = random_float();
        else
            ((uint16_t *)data)[i] = (uint16_t)(random_word() & 0xbfff);
    }
    return (cairn_matrix){data, dtype, stride, transposed};
}

#endif
