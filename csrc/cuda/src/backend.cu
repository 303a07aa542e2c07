// SPDX-License-Identifier: Apache-2.0
/// The CUDA engine's row of the backend seam.

#include "context.h"

namespace cairn {
namespace {

#define CAIRN_COUNT(name) +1
static_assert(sizeof(cairn_backend) == (1 CAIRN_CUDA_OPERATIONS(CAIRN_COUNT)) * sizeof(void *),
              "an entry of cairn_backend is missing in CAIRN_CUDA_OPERATIONS");
#undef CAIRN_COUNT

/// Whether an entry's own answer says that it failed.
inline bool says_failure(cairn_status status) { return status != CAIRN_STATUS_OK; }
inline bool says_failure(const void *memory) { return !memory; }

/// An entry of the table: makes the context's device the thread's own before the function runs, and
/// leaves for `finish` only the failures that the entry could not tell its caller.
template <auto FUNCTION>
struct Entry;

template <class Context, class Result, class... Arguments,
          Result (*FUNCTION)(Context *, Arguments...)>
struct Entry<FUNCTION> {
    static Result call(Context *context, Arguments... arguments) {
        if constexpr (std::is_const<Context>::value) {
            return FUNCTION(context, arguments...);
        } else {
            (void)check(context, cudaSetDevice(context->device), "cudaSetDevice");
            if constexpr (std::is_void<Result>::value) {
                FUNCTION(context, arguments...);
            } else {
                const bool owes_failure = context->failed != CAIRN_STATUS_OK;
                const Result result = FUNCTION(context, arguments...);
                if (says_failure(result) && !owes_failure && !context->is_broken)
                    context->failed = CAIRN_STATUS_OK;
                return result;
            }
        }
    }
};

cairn_backend make_table() {
    cairn_backend table = {};
    table.name = "cuda";
#define CAIRN_FILL(name) table.name = Entry<name##_on_device>::call;
    CAIRN_CUDA_OPERATIONS(CAIRN_FILL)
#undef CAIRN_FILL
    return table;
}

}  // namespace
}  // namespace cairn

const cairn_backend *cairn_cuda_backend(size_t table_bytes) {
    static const cairn_backend table = cairn::make_table();
    return table_bytes == sizeof(cairn_backend) ? &table : nullptr;
}
