// SPDX-License-Identifier: Apache-2.0
/// Holds cublasLt.h of this folder against NVIDIA's: compile it with the wheel's header in front.

#include <cublasLt.h>

static_assert(CUBLASLT_MATMUL_DESC_TRANSA == 3 && CUBLASLT_MATMUL_DESC_TRANSB == 4, "");
static_assert(CUBLASLT_MATMUL_DESC_EPILOGUE == 7 && CUBLASLT_MATMUL_DESC_BIAS_POINTER == 8, "");
static_assert(CUBLASLT_EPILOGUE_BIAS == 4 && CUBLAS_COMPUTE_32F == 68 && CUDA_R_16BF == 14, "");
static_assert(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES == 1, "");
static_assert(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK == 3, "");
static_assert(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES == 5, "");
static_assert(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES == 6, "");
static_assert(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES == 7, "");
static_assert(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES == 8, "");
static_assert(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE == 2, "");
static_assert(sizeof(cublasLtMatmulAlgo_t) == 64, "");
static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == 96, "");
