// SPDX-License-Identifier: Apache-2.0
/// Holds nccl.h of this folder against NVIDIA's: compile it with the wheel's header in front.

#include <nccl.h>

#include <type_traits>

static_assert(ncclSuccess == 0 && ncclSystemError == 2, "");
static_assert(ncclInvalidArgument == 4 && ncclInvalidUsage == 5, "");
static_assert(ncclUint8 == 1 && NCCL_UNIQUE_ID_BYTES == 128, "");
static_assert(sizeof(ncclUniqueId) == 128 && alignof(ncclUniqueId) == 1, "");

template <class... Arguments>
using Call = ncclResult_t(Arguments...);

static_assert(std::is_same<decltype(ncclGetVersion), Call<int *>>::value, "");
static_assert(std::is_same<decltype(ncclGetUniqueId), Call<ncclUniqueId *>>::value, "");
static_assert(
    std::is_same<decltype(ncclCommInitRank), Call<ncclComm_t *, int, ncclUniqueId, int>>::value, "");
static_assert(std::is_same<decltype(ncclCommDestroy), Call<ncclComm_t>>::value, "");
static_assert(std::is_same<decltype(ncclCommAbort), Call<ncclComm_t>>::value, "");
static_assert(std::is_same<decltype(ncclGetErrorString), const char *(ncclResult_t)>::value, "");
static_assert(std::is_same<decltype(ncclGroupStart), Call<>>::value, "");
static_assert(std::is_same<decltype(ncclGroupEnd), Call<>>::value, "");
static_assert(std::is_same<decltype(ncclSend), Call<const void *, size_t, ncclDataType_t, int,
                                                    ncclComm_t, cudaStream_t>>::value, "");
static_assert(std::is_same<decltype(ncclRecv), Call<void *, size_t, ncclDataType_t, int,
                                                    ncclComm_t, cudaStream_t>>::value, "");
