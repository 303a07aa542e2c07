// SPDX-License-Identifier: Apache-2.0
/// Small arrays of the host that kernels read: offsets of sequences, kept on the device.

#ifndef CAIRN_CUDA_UPLOADS_H
#define CAIRN_CUDA_UPLOADS_H

#include <vector>

#include "platform.h"

namespace cairn {

/// The arrays of the last calls. All layers of a micro-batch pass the same few, so nearly every
/// call finds its own here; the oldest makes way for a new one.
struct Uploads {
    static constexpr size_t PLACES = 8;

    struct Place {
        std::vector<uint32_t> numbers;
        void *memory;  ///< On the device.
        size_t bytes;  ///< Of `memory`.
        uint64_t last_use;
    };

    Place places[PLACES];
    uint64_t uses;

    /// The place with these numbers, or null.
    Place *find(const uint32_t *numbers, size_t count);

    /// The place that was not used for longest.
    Place *oldest();
};

}  // namespace cairn

#endif
