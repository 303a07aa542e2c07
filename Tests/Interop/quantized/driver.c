// SPDX-License-Identifier: Apache-2.0
/// Rounds the fp32 matrix on standard input to 8 and 4 bits, and writes what came out.
///
/// usage: driver ROWS COLUMNS < numbers > parts; the parts are, one after the other, codes (columns
/// filled up to a multiple of 64), scales and sums of 8 bits; codes, scales and groups of 4 bits; and
/// the numbers that each of the two stand for.

#include <stdio.h>
#include <stdlib.h>

#include "cairn.h"

static void *memory(size_t bytes) {
    void *result = calloc(bytes ? bytes : 1, 1);
    if (!result) exit(2);
    return result;
}

static void put(const void *data, size_t bytes) {
    if (fwrite(data, 1, bytes, stdout) != bytes) exit(2);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const size_t rows = strtoul(arguments[1], NULL, 10), columns = strtoul(arguments[2], NULL, 10);
    const size_t elements = rows * columns, stride = (columns + 63) / 64 * 64;
    const size_t blocks = (elements + 63) / 64, groups = (blocks + 255) / 256;
    float *w = memory(elements * sizeof *w), *numbers = memory(elements * sizeof *w);
    if (fread(w, sizeof *w, elements, stdin) != elements) return 2;
    int8_t *codes = memory(rows * stride), *block_scales = memory(blocks);
    float *scales = memory(rows * sizeof *scales), *middles = memory(groups * 2 * sizeof *middles);
    int32_t *sums = memory(rows * sizeof *sums);
    uint8_t *halves = memory((elements + 1) / 2);
    cairn_context *context;
    if (cairn_context_create(cairn_isa_best(), 2, &context) ||
        cairn_quantize_int8(context, rows, columns, w, CAIRN_DTYPE_F32, codes, scales, sums) ||
        cairn_quantize_nf4(context, elements, w, CAIRN_DTYPE_F32, halves, block_scales, middles))
        return 1;
    put(codes, rows * stride);
    put(scales, rows * sizeof *scales);
    put(sums, rows * sizeof *sums);
    put(halves, (elements + 1) / 2);
    put(block_scales, blocks);
    put(middles, groups * 2 * sizeof *middles);
    const cairn_int8 eight = {codes, scales, sums, columns, stride};
    if (cairn_widen(context, elements, &eight, CAIRN_DTYPE_I8, numbers)) return 1;
    put(numbers, elements * sizeof *numbers);
    const cairn_nf4 four = {halves, block_scales, middles};
    if (cairn_widen(context, elements, &four, CAIRN_DTYPE_NF4, numbers)) return 1;
    put(numbers, elements * sizeof *numbers);
    cairn_context_destroy(context);
    return 0;
}
