// SPDX-License-Identifier: Apache-2.0
/// cublasLtMatmul for the host simulator: column-major, bf16 or f32, f32 scale, optional bias.
// Checks shapes, leading dimensions, device pointers and sizes, as the library would or should.
#include "cublasLt.h"
#include "cuda_bf16.h"
struct cublasLtContext {};
struct cublasLtMatmulPreferenceOpaque_t {};
struct cublasLtMatrixLayoutOpaque_t {
    cudaDataType t;
    uint64_t rows, cols;
    int64_t ld;
};
struct cublasLtMatmulDescOpaque_t {
    cublasOperation_t ta = CUBLAS_OP_N, tb = CUBLAS_OP_N;
    cublasLtEpilogue_t ep = CUBLASLT_EPILOGUE_DEFAULT;
    const void *bias = nullptr;
};
typedef cublasStatus_t S;
constexpr S ok = CUBLAS_STATUS_SUCCESS, bad = CUBLAS_STATUS_INVALID_VALUE;
S cublasLtCreate(cublasLtHandle_t *h) {
    *h = new cublasLtContext;
    return ok;
}
S cublasLtDestroy(cublasLtHandle_t h) {
    delete h;
    return ok;
}
S cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t, cudaDataType_t) {
    *d = new cublasLtMatmulDescOpaque_t;
    return ok;
}
S cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) {
    delete d;
    return ok;
}
S cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t a,
                                 const void *p, size_t n) {
    struct {
        void *at;
        size_t size;
    } f = {};
    switch (a) {
        case CUBLASLT_MATMUL_DESC_TRANSA:
            f = {&d->ta, sizeof d->ta};
            break;
        case CUBLASLT_MATMUL_DESC_TRANSB:
            f = {&d->tb, sizeof d->tb};
            break;
        case CUBLASLT_MATMUL_DESC_EPILOGUE:
            f = {&d->ep, sizeof d->ep};
            break;
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
            f = {&d->bias, sizeof d->bias};
            break;
    }
    if (!f.at || f.size != n) return bad;
    memcpy(f.at, p, n);
    return ok;
}
S cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType t, uint64_t r, uint64_t c,
                             int64_t ld) {
    if (ld < (int64_t)r) return bad;
    *l = new cublasLtMatrixLayoutOpaque_t{t, r, c, ld};
    return ok;
}
S cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) {
    delete l;
    return ok;
}
S cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p) {
    *p = new cublasLtMatmulPreferenceOpaque_t;
    return ok;
}
S cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) {
    delete p;
    return ok;
}
S cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                       cublasLtMatmulPreferenceAttributes_t a, const void *,
                                       size_t n) {
    return n == (a == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? sizeof(uint64_t)
                                                               : sizeof(uint32_t))
               ? ok
               : bad;
}
static bool fits(cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                 cublasLtMatrixLayout_t o) {
    const uint64_t m = d->ta ? a->cols : a->rows, k = d->ta ? a->rows : a->cols;
    const uint64_t k2 = d->tb ? b->cols : b->rows, n = d->tb ? b->rows : b->cols;
    return m == o->rows && n == o->cols && k == k2;
}
S cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                                 cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t,
                                 cublasLtMatrixLayout_t o, cublasLtMatmulPreference_t, int want,
                                 cublasLtMatmulHeuristicResult_t r[], int *found) {
    *found = 0;
    if (want < 1 || !fits(d, a, b, o)) return bad;
    r[0] = {};
    *found = 1;
    return ok;
}
static float get(const cublasLtMatrixLayoutOpaque_t &l, const void *p, int64_t r, int64_t c) {
    const int64_t i = r + c * l.ld;
    return l.t == CUDA_R_32F ? ((const float *)p)[i]
                             : __bfloat162float(((const __nv_bfloat16 *)p)[i]);
}
S cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d, const void *alpha, const void *A,
                 cublasLtMatrixLayout_t a, const void *B, cublasLtMatrixLayout_t b,
                 const void *beta, const void *C, cublasLtMatrixLayout_t c, void *D,
                 cublasLtMatrixLayout_t o, const cublasLtMatmulAlgo_t *, void *, size_t,
                 cudaStream_t s) {
    if (!fits(d, a, b, o) || c->rows != o->rows || c->cols != o->cols) return bad;
    const float al = *(const float *)alpha, be = *(const float *)beta;
    auto work = [d = *d, a = *a, b = *b, c = *c, o = *o, A, B, C, D, al, be] {
        const int64_t K = d.ta ? a.rows : a.cols;
        for (int64_t j = 0; j < (int64_t)o.cols; j++)
            for (int64_t i = 0; i < (int64_t)o.rows; i++) {
                float acc = 0;
                for (int64_t k = 0; k < K; k++)
                    acc += (d.ta ? get(a, A, k, i) : get(a, A, i, k)) *
                           (d.tb ? get(b, B, j, k) : get(b, B, k, j));
                acc = al * acc + (be != 0 ? be * get(c, C, i, j) : 0);
                if (d.ep == CUBLASLT_EPILOGUE_BIAS) acc += get({o.t, 0, 0, 0}, d.bias, i, 0);
                if (o.t == CUDA_R_32F)
                    ((float *)D)[i + j * o.ld] = acc;
                else
                    ((__nv_bfloat16 *)D)[i + j * o.ld] = __float2bfloat16_rn(acc);
            }
    };
    return cusim::enqueue_host("cublasLtMatmul", {A, B, D}, s, work) == cudaSuccess ? ok : bad;
}
