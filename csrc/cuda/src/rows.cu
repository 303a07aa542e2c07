// SPDX-License-Identifier: Apache-2.0
/// Operations that pick and average rows (cairn_rows.h).

#include "loop.cuh"
#include "math.cuh"

namespace cairn {
inline namespace kernels {

__global__ void __launch_bounds__(LOOP_BLOCK)
embed(size_t count, size_t width, size_t vocabulary, const int32_t *ids, const void *table,
      int dtype, float *y, uint32_t *faults) {
    for (Loop i(count); i; ++i) {
        const int32_t id = ids[i.at / width];
        if (id >= 0 && (size_t)id < vocabulary) {
            y[i.at] = load_weight(table, dtype, (size_t)id * width + i.at % width);
        } else {
            y[i.at] = not_a_number();
            atomicMax(faults, (uint32_t)FAULT_EMBEDDING_ID);
        }
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
gather(size_t count, size_t rows, size_t width, const uint32_t *indices, const float *x, float *y,
       uint32_t *faults) {
    for (Loop i(count); i; ++i) {
        const size_t row = indices[i.at / width];
        if (row < rows) {
            y[i.at] = x[row * width + i.at % width];
        } else {
            y[i.at] = not_a_number();
            atomicMax(faults, (uint32_t)FAULT_ROW_INDEX);
        }
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
mean_forward(size_t count, size_t width, const uint32_t *offsets, const float *x, float *y) {
    for (Loop i(count); i; ++i) {
        const size_t sequence = i.at / width, column = i.at % width;
        const size_t begin = offsets[sequence], end = offsets[sequence + 1];
        float sum = 0;
        for (size_t t = begin; t < end; t++) sum += x[t * width + column];
        y[i.at] = end > begin ? sum / (float)(end - begin) : 0;
    }
}

__global__ void __launch_bounds__(LOOP_BLOCK)
mean_backward(size_t count, size_t width, const uint32_t *offsets, const float *dy, float *dx) {
    for (Loop i(count); i; ++i) {
        const size_t sequence = i.at / width, column = i.at % width;
        const size_t begin = offsets[sequence], end = offsets[sequence + 1];
        const float share = dy[i.at] / (float)(end - begin);
        for (size_t t = begin; t < end; t++) dx[t * width + column] = share;
    }
}

/// Whether offsets ascend from 0, and rows and sequences of so many columns can be counted.
bool are_offsets(size_t sequences, const uint32_t *offsets, size_t width) {
    bool valid = offsets[0] == 0;
    for (size_t i = 0; i < sequences; i++) valid = valid && offsets[i] <= offsets[i + 1];
    return valid && !multiply_overflows(sequences, width)
           && !multiply_overflows(offsets[sequences], width);
}

}  // namespace kernels

cairn_status embedding_forward_on_device(cairn_context *context, size_t rows, size_t width,
                                         size_t vocabulary, const int32_t *ids, const void *table,
                                         cairn_dtype dtype, float *y) {
    if (multiply_overflows(rows, width) || multiply_overflows(vocabulary, width)
        || !is_weight_type(dtype))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    if (rows * width == 0) return CAIRN_STATUS_OK;
    LAUNCH(embed, loop_blocks(context, rows * width), dim3(LOOP_BLOCK), 0, context->stream,
           rows * width, width, vocabulary, ids, table, dtype, y, context->faults);
    return launched(context, "embedding_forward");
}

cairn_status gather_rows_on_device(cairn_context *context, size_t count, size_t rows, size_t width,
                                   const uint32_t *indices, const float *x, float *y) {
    if (multiply_overflows(count, width) || multiply_overflows(rows, width))
        return CAIRN_STATUS_INVALID_ARGUMENT;
    if (count * width == 0) return CAIRN_STATUS_OK;
    LAUNCH(gather, loop_blocks(context, count * width), dim3(LOOP_BLOCK), 0, context->stream,
           count * width, rows, width, indices, x, y, context->faults);
    return launched(context, "gather_rows");
}

cairn_status mean_rows_forward_on_device(cairn_context *context, size_t sequences, size_t width,
                                         const uint32_t *offsets, const float *x, float *y) {
    if (!are_offsets(sequences, offsets, width)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (sequences * width == 0) return CAIRN_STATUS_OK;
    const uint32_t *places = upload(context, offsets, sequences + 1);
    if (!places) return context->failed;
    LAUNCH(mean_forward, loop_blocks(context, sequences * width), dim3(LOOP_BLOCK), 0,
           context->stream, sequences * width, width, places, x, y);
    return launched(context, "mean_rows_forward");
}

cairn_status mean_rows_backward_on_device(cairn_context *context, size_t sequences, size_t width,
                                          const uint32_t *offsets, const float *dy, float *dx) {
    if (!are_offsets(sequences, offsets, width)) return CAIRN_STATUS_INVALID_ARGUMENT;
    if (sequences * width == 0) return CAIRN_STATUS_OK;
    const uint32_t *places = upload(context, offsets, sequences + 1);
    if (!places) return context->failed;
    LAUNCH(mean_backward, loop_blocks(context, sequences * width), dim3(LOOP_BLOCK), 0,
           context->stream, sequences * width, width, places, dy, dx);
    return launched(context, "mean_rows_backward");
}

}  // namespace cairn
