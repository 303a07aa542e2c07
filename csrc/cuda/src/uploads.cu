// SPDX-License-Identifier: Apache-2.0
/// Finds and replaces uploaded arrays.

#include "uploads.h"

#include <string.h>

#include "context.h"

namespace cairn {

Uploads::Place *Uploads::find(const uint32_t *numbers, size_t count) {
    for (Place &place : places)
        if (place.memory && place.numbers.size() == count
            && memcmp(place.numbers.data(), numbers, count * sizeof *numbers) == 0)
            return &place;
    return nullptr;
}

Uploads::Place *Uploads::oldest() {
    Place *found = &places[0];
    for (Place &place : places)
        if (place.last_use < found->last_use) found = &place;
    return found;
}

const uint32_t *upload(cairn_context *context, const uint32_t *numbers, size_t count) {
    Uploads &uploads = context->uploads;
    Uploads::Place *place = uploads.find(numbers, count);
    if (!place) {
        const size_t bytes = count * sizeof *numbers;
        place = uploads.oldest();
        place->numbers.clear();
        if (!place->memory || place->bytes < bytes) {
            if (place->memory) give(context, place->memory);
            place->memory = take(context, bytes);
            place->bytes = bytes;
            if (!place->memory) return nullptr;
        }
        // In order on the stream: kernels that read the old contents have run by then.
        const cudaError_t error =
            context->staging.copy_in(place->memory, numbers, bytes, context->stream);
        if (check(context, error, "copy of offsets") != CAIRN_STATUS_OK) return nullptr;
        place->numbers.assign(numbers, numbers + count);
    }
    place->last_use = ++uploads.uses;
    return (const uint32_t *)place->memory;
}

}  // namespace cairn
