// SPDX-License-Identifier: Apache-2.0
/// Messages from GPU to GPU, by NCCL.

#include "ranks.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "context.h"

namespace cairn {
namespace {

constexpr const char *LIBRARY = "libnccl.so.2";

struct Nccl {
#define CAIRN_NCCL_POINTER(name) decltype(&::name) name;
    CAIRN_NCCL_FUNCTIONS(CAIRN_NCCL_POINTER)
#undef CAIRN_NCCL_POINTER
    bool is_there;
    char reason[256];  ///< Why it is not.
};

#ifdef CUSIM
/// The simulator's stream, for a library that is not part of the simulator.
cudaError_t queue_for_library(const char *name, const void *const *memory, size_t count,
                              cudaStream_t stream, void (*work)(void *), void *argument) {
    return cusim::enqueue_host(name, memory, count, stream, [=] { work(argument); });
}

/// NVIDIA's own has no use for the simulator's memory; the tests' has this entry for it.
bool accept(void *library) {
    const auto attach = (void (*)(decltype(&queue_for_library)))dlsym(library, "cusim_attach");
    if (attach) attach(queue_for_library);
    return attach != nullptr;
}
#else
bool accept(void *) { return true; }
#endif

Nccl load_nccl() {
    Nccl nccl = {};
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *reason = dlerror();
        snprintf(nccl.reason, sizeof nccl.reason, "NCCL is not there: %s",
                 reason ? reason : LIBRARY);
        return nccl;
    }
    const char *missing = nullptr;
#define CAIRN_NCCL_FIND(name) \
    nccl.name = (decltype(nccl.name))dlsym(library, #name); \
    if (!nccl.name && !missing) missing = #name;
    CAIRN_NCCL_FUNCTIONS(CAIRN_NCCL_FIND)
#undef CAIRN_NCCL_FIND
    nccl.is_there = !missing && accept(library);
    if (missing)
        snprintf(nccl.reason, sizeof nccl.reason, "%s has no %s, which NCCL has from 2.7 on",
                 LIBRARY, missing);
    else if (!nccl.is_there)
        snprintf(nccl.reason, sizeof nccl.reason, "%s does not know the simulator", LIBRARY);
    return nccl;
}

const Nccl &nccl() {
    static const Nccl functions = load_nccl();
    return functions;
}

cairn_cuda_status nccl_status(ncclResult_t result, const char *what) {
    if (result == ncclSuccess) return CAIRN_CUDA_STATUS_OK;
    return refuse(CAIRN_CUDA_STATUS_FAILED, "NCCL: %s: %s", what,
                  nccl().ncclGetErrorString(result));
}

cairn_cuda_status require_nccl() {
    return nccl().is_there ? CAIRN_CUDA_STATUS_OK
                           : refuse(CAIRN_CUDA_STATUS_NO_NCCL, "%s", nccl().reason);
}

bool is_to_other(const Communicator &ranks, const cairn_cuda_parcel &parcel) {
    return parcel.rank >= 0 && parcel.rank < ranks.size && parcel.rank != ranks.rank;
}

}  // namespace

void Communicator::close(bool is_broken) {
    if (!handle) return;
    (void)(is_broken ? nccl().ncclCommAbort(handle) : nccl().ncclCommDestroy(handle));
    handle = nullptr;
}

}  // namespace cairn

static_assert(sizeof(cairn_cuda_ranks_id) == sizeof(ncclUniqueId), "an id of NCCL");

cairn_cuda_status cairn_cuda_nccl_version(int32_t *version) {
    *version = 0;
    const cairn_cuda_status there = cairn::require_nccl();
    if (there != CAIRN_CUDA_STATUS_OK) return there;
    int found = 0;
    const ncclResult_t result = cairn::nccl().ncclGetVersion(&found);
    *version = found;
    return cairn::nccl_status(result, "its version");
}

cairn_cuda_status cairn_cuda_make_ranks_id(cairn_cuda_ranks_id *id) {
    const cairn_cuda_status there = cairn::require_nccl();
    if (there != CAIRN_CUDA_STATUS_OK) return there;
    ncclUniqueId made = {};
    const ncclResult_t result = cairn::nccl().ncclGetUniqueId(&made);
    memcpy(id, &made, sizeof *id);
    return cairn::nccl_status(result, "an id of the ranks");
}

cairn_cuda_status cairn_cuda_join(cairn_context *context, const cairn_cuda_ranks_id *id,
                                  int32_t rank, int32_t size) {
    const cairn_cuda_status there = cairn::require_nccl();
    if (there != CAIRN_CUDA_STATUS_OK) return there;
    if (rank < 0 || rank >= size || context->ranks.handle)
        return cairn::refuse(CAIRN_CUDA_STATUS_FAILED,
                             "rank %d of %d cannot join: it is none of them or has joined before",
                             rank, size);
    (void)cudaSetDevice(context->device);
    ncclUniqueId others;
    memcpy(&others, id, sizeof others);
    ncclComm_t made = nullptr;
    const ncclResult_t result = cairn::nccl().ncclCommInitRank(&made, size, others, rank);
    if (result == ncclSuccess) context->ranks = {made, rank, size};
    return cairn::nccl_status(result, "joining the ranks");
}

cairn_cuda_status cairn_cuda_exchange(cairn_context *context, const cairn_cuda_parcel *parcels,
                                      size_t count) {
    const cairn::Communicator &ranks = context->ranks;
    bool is_valid = ranks.handle != nullptr;
    for (size_t i = 0; i < count; i++) is_valid = is_valid && cairn::is_to_other(ranks, parcels[i]);
    if (!is_valid)
        return cairn::refuse(CAIRN_CUDA_STATUS_FAILED,
                             "a message between GPUs is not to another rank that has joined");
    (void)cudaSetDevice(context->device);
    const cairn::Nccl &nccl = cairn::nccl();
    ncclResult_t result = nccl.ncclGroupStart();
    if (result != ncclSuccess) return cairn::nccl_status(result, "a group of messages");
    for (size_t i = 0; i < count && result == ncclSuccess; i++) {
        const cairn_cuda_parcel &p = parcels[i];
        result = p.arrives ? nccl.ncclRecv(p.memory, p.bytes, ncclUint8, p.rank, ranks.handle,
                                           context->stream)
                           : nccl.ncclSend(p.memory, p.bytes, ncclUint8, p.rank, ranks.handle,
                                           context->stream);
    }
    // A group that was started is ended, whatever became of its messages.
    const ncclResult_t ended = nccl.ncclGroupEnd();
    return cairn::nccl_status(result == ncclSuccess ? ended : result, "messages between GPUs");
}
