// SPDX-License-Identifier: Apache-2.0
/// Products by cuBLASLt. Only algorithms whose sums have a fixed order are asked for.

#include "lt.h"

#include <dlfcn.h>

#include <new>

namespace cairn {
namespace {

#ifdef CUSIM
constexpr size_t WORKSPACE_BYTES = (size_t)64 << 10;  // The simulator never uses it.
#else
constexpr size_t WORKSPACE_BYTES = (size_t)32 << 20;
#endif

/// Shapes remembered at most: every number of tokens is a shape of its own.
constexpr size_t MOST_ALGORITHMS = 4096;

struct Functions {
#define CAIRN_LT_POINTER(name) decltype(&::name) name;
    CAIRN_LT_FUNCTIONS(CAIRN_LT_POINTER)
#undef CAIRN_LT_POINTER
    bool are_there;
};

#ifdef CUSIM
Functions load() {
    Functions functions = {};
#define CAIRN_LT_TAKE(name) functions.name = &::name;
    CAIRN_LT_FUNCTIONS(CAIRN_LT_TAKE)
#undef CAIRN_LT_TAKE
    functions.are_there = true;
    return functions;
}
#else
Functions load() {
    Functions functions = {};
    void *library = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
    functions.are_there = library != nullptr;
    if (!library) return functions;
#define CAIRN_LT_FIND(name) \
    functions.name = (decltype(functions.name))dlsym(library, #name); \
    functions.are_there = functions.are_there && functions.name;
    CAIRN_LT_FUNCTIONS(CAIRN_LT_FIND)
#undef CAIRN_LT_FIND
    return functions;
}
#endif

const Functions &lt() {
    static const Functions functions = load();
    return functions;
}

/// The largest power of two up to 256 that divides an address.
uint32_t alignment(const void *address) {
    uint32_t bytes = 256;
    while ((uintptr_t)address % bytes != 0) bytes /= 2;
    return bytes;
}

}  // namespace

/// The description of a product, freed with its scope.
///
/// cuBLASLt is column-major: what we store as C [m, n] it reads as C^T [n, m] = B^T A^T, so its
/// first operand is our B.
struct LtPlan {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t first, second, result;
    cublasLtMatmulPreference_t preference;
    bool is_made;

    explicit LtPlan(const LtProduct &p);
    ~LtPlan();
    LtPlan(const LtPlan &) = delete;

private:
    template <class Value>
    bool describe(cublasLtMatmulDescAttributes_t attribute, Value value) {
        return lt().cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value)
               == CUBLAS_STATUS_SUCCESS;
    }
    template <class Value>
    bool prefer(cublasLtMatmulPreferenceAttributes_t attribute, Value value) {
        return lt().cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value,
                                                         sizeof value)
               == CUBLAS_STATUS_SUCCESS;
    }
    static bool lay_out(cublasLtMatrixLayout_t *layout, const LtMatrix &matrix) {
        return lt().cublasLtMatrixLayoutCreate(layout, matrix.type, matrix.columns, matrix.rows,
                                               (int64_t)matrix.stride)
               == CUBLAS_STATUS_SUCCESS;
    }
};

LtPlan::LtPlan(const LtProduct &p)
    : operation(), first(), second(), result(), preference(), is_made(false) {
    const LtMatrix c = {p.c, CUDA_R_32F, p.m, p.n, p.c_stride, false};
    is_made =
        lt().cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F)
            == CUBLAS_STATUS_SUCCESS
        && describe(CUBLASLT_MATMUL_DESC_TRANSA, p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N)
        && describe(CUBLASLT_MATMUL_DESC_TRANSB, p.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N)
        && lay_out(&first, p.b) && lay_out(&second, p.a) && lay_out(&result, c)
        && lt().cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS
        && prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, (uint64_t)WORKSPACE_BYTES)
        && prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                  (uint32_t)CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
        && prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(p.b.data))
        && prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(p.a.data))
        && prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(p.c))
        && prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(p.c));
    if (is_made && p.bias)
        is_made = describe(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS)
            && describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
}

LtPlan::~LtPlan() {
    if (preference) lt().cublasLtMatmulPreferenceDestroy(preference);
    if (result) lt().cublasLtMatrixLayoutDestroy(result);
    if (second) lt().cublasLtMatrixLayoutDestroy(second);
    if (first) lt().cublasLtMatrixLayoutDestroy(first);
    if (operation) lt().cublasLtMatmulDescDestroy(operation);
}

void Lt::start() {
    if (!lt().are_there || lt().cublasLtCreate(&handle) != CUBLAS_STATUS_SUCCESS) {
        handle = nullptr;
        return;
    }
    algorithms = new (std::nothrow) std::map<Key, cublasLtMatmulAlgo_t>();
    if (cudaMalloc(&workspace, WORKSPACE_BYTES) != cudaSuccess || !algorithms) {
        (void)cudaGetLastError();
        close();
    }
}

void Lt::close() {
    if (handle) (void)lt().cublasLtDestroy(handle);
    if (workspace) (void)cudaFree(workspace);
    delete algorithms;
    handle = nullptr;
    workspace = nullptr;
    algorithms = nullptr;
}

bool Lt::find(const LtProduct &p, const LtPlan &plan, cublasLtMatmulAlgo_t *found) {
    const Key key = {p.m, p.n, p.k, p.a.stride, p.b.stride, p.c_stride, p.a.transposed,
                     p.b.transposed, (uint64_t)p.a.type, (uint64_t)p.b.type, p.bias != nullptr,
                     p.keep != 0, alignment(p.a.data), alignment(p.b.data), alignment(p.c)};
    const auto place = algorithms->find(key);
    if (place != algorithms->end()) {
        *found = place->second;
        return true;
    }
    cublasLtMatmulHeuristicResult_t result = {};
    int count = 0;
    if (lt().cublasLtMatmulAlgoGetHeuristic(handle, plan.operation, plan.first, plan.second,
                                            plan.result, plan.result, plan.preference, 1, &result,
                                            &count)
            != CUBLAS_STATUS_SUCCESS
        || count < 1)
        return false;
    if (algorithms->size() >= MOST_ALGORITHMS) algorithms->clear();
    *found = (*algorithms)[key] = result.algo;
    return true;
}

bool Lt::multiply(const LtProduct &p, cudaStream_t stream) {
    if (!handle) return false;
    const LtPlan plan(p);
    cublasLtMatmulAlgo_t algorithm;
    if (!plan.is_made || !find(p, plan, &algorithm)) return false;
    return lt().cublasLtMatmul(handle, plan.operation, &p.scale, p.b.data, plan.first, p.a.data,
                               plan.second, &p.keep, p.c, plan.result, p.c, plan.result,
                               &algorithm, workspace, WORKSPACE_BYTES, stream)
           == CUBLAS_STATUS_SUCCESS;
}

}  // namespace cairn
