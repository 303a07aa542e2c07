// SPDX-License-Identifier: Apache-2.0
/// Small products for attention: six rows by sixteen columns in registers.

enum { BLOCK = 6 };

/// Where the left operand of a product lies: element (i, k) is data[i * row + k * column].
typedef struct left_operand {
    const float *data;
    size_t row, column;
} left_operand;

/// c <- a b, or c + a b: each element one chain of fused multiply-adds, k ascending.
///
/// a is [rows, depth], b [depth, 16 or what is left of it], c [rows, the same]. rows <= BLOCK.
CAIRN_INLINE void multiply_block(const size_t rows, size_t depth, left_operand a, const float *b,
                                 size_t b_stride, size_t left, bool accumulate, float *c,
                                 size_t c_stride) {
    v16 acc[BLOCK];
    for (size_t i = 0; i < rows; i++)
        acc[i] = accumulate ? v16_load_some(c + i * c_stride, left) : v16_zero();
    for (size_t k = 0; k < depth; k++) {
        const v16 row = v16_load_some(b + k * b_stride, left);
        for (size_t i = 0; i < rows; i++)
            acc[i] = v16_fma(v16_set(a.data[i * a.row + k * a.column]), row, acc[i]);
    }
    for (size_t i = 0; i < rows; i++) v16_store_some(c + i * c_stride, acc[i], left);
}

/// multiply_block over all columns, with a constant number of rows.
CAIRN_INLINE void multiply_columns(const size_t rows, size_t depth, left_operand a, const float *b,
                                   size_t b_stride, size_t width, bool accumulate, float *c,
                                   size_t c_stride) {
    size_t j = 0;
    for (; j + LANES <= width; j += LANES)
        multiply_block(rows, depth, a, b + j, b_stride, LANES, accumulate, c + j, c_stride);
    if (j < width)
        multiply_block(rows, depth, a, b + j, b_stride, width - j, accumulate, c + j, c_stride);
}

/// c <- a b, or c + a b, for at most BLOCK rows.
static void multiply_rows(size_t rows, size_t depth, left_operand a, const float *b,
                          size_t b_stride, size_t width, bool accumulate, float *c,
                          size_t c_stride) {
    switch (rows) {
    case 1:
        return multiply_columns(1, depth, a, b, b_stride, width, accumulate, c, c_stride);
    case 2:
        return multiply_columns(2, depth, a, b, b_stride, width, accumulate, c, c_stride);
    case 3:
        return multiply_columns(3, depth, a, b, b_stride, width, accumulate, c, c_stride);
    case 4:
        return multiply_columns(4, depth, a, b, b_stride, width, accumulate, c, c_stride);
    case 5:
        return multiply_columns(5, depth, a, b, b_stride, width, accumulate, c, c_stride);
    default:
        return multiply_columns(BLOCK, depth, a, b, b_stride, width, accumulate, c, c_stride);
    }
}

/// c <- a b, or c + a b, for any number of rows.
static void multiply_all(size_t rows, size_t depth, left_operand a, const float *b, size_t b_stride,
                     size_t width, bool accumulate, float *c, size_t c_stride) {
    for (size_t i = 0; i < rows; i += BLOCK) {
        const left_operand block = {a.data + i * a.row, a.row, a.column};
        multiply_rows(rows - i < BLOCK ? rows - i : BLOCK, depth, block, b, b_stride, width,
                      accumulate, c + i * c_stride, c_stride);
    }
}
