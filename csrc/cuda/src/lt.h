// SPDX-License-Identifier: Apache-2.0
/// cuBLASLt, opened when a device is: the library needs nothing of NVIDIA's to load.

#ifndef CAIRN_CUDA_LT_H
#define CAIRN_CUDA_LT_H

#include <cublasLt.h>

#include <array>
#include <map>

#include "platform.h"

namespace cairn {

/// What is called of cuBLASLt.
#define CAIRN_LT_FUNCTIONS(X) \
    X(cublasLtCreate) X(cublasLtDestroy) X(cublasLtMatmul) X(cublasLtMatmulDescCreate) \
    X(cublasLtMatmulDescDestroy) X(cublasLtMatmulDescSetAttribute) X(cublasLtMatrixLayoutCreate) \
    X(cublasLtMatrixLayoutDestroy) X(cublasLtMatmulPreferenceCreate) \
    X(cublasLtMatmulPreferenceDestroy) X(cublasLtMatmulPreferenceSetAttribute) \
    X(cublasLtMatmulAlgoGetHeuristic)

/// A stored matrix, row-major, and how a product reads it.
struct LtMatrix {
    const void *data;
    cudaDataType type;
    size_t rows, columns, stride;  ///< As stored.
    bool transposed;
};

/// C = scale A B + keep C + bias; C [m, n] in fp32, row-major.
struct LtProduct {
    size_t m, n, k;
    LtMatrix a, b;
    float scale, keep;
    const float *bias;
    float *c;
    size_t c_stride;
};

/// A handle, a workspace and the algorithms found so far.
struct Lt {
    using Key = std::array<uint64_t, 15>;

    cublasLtHandle_t handle;  ///< Null where cuBLASLt is not to be had.
    void *workspace;
    std::map<Key, cublasLtMatmulAlgo_t> *algorithms;

    /// Opens the library; without it, or without memory for it, `handle` stays null.
    void start();
    void close();

    /// Queues a product; false when cuBLASLt does not take it, and then nothing is queued.
    bool multiply(const LtProduct &product, cudaStream_t stream);

private:
    bool find(const LtProduct &product, const struct LtPlan &plan, cublasLtMatmulAlgo_t *found);
};

}  // namespace cairn

#endif
