// SPDX-License-Identifier: Apache-2.0
/// Packing: operands of any type and orientation become panels of 32-bit words in k order.
///
/// A word is an fp32 number or, where the build multiplies pairs, two bf16 numbers. Without pairs
/// the elements of a bf16 product stand as fp32 numbers with the odd one of each two first: element
/// e of a block at position e ^ 1. Blocks begin at even positions, and an odd end is filled up with
/// a zero.

// How far packing asks for rows: a memory latency, in which a gradient with a narrow side, a line of
// each row for some eight cycles, comes by this many.
enum { ROWS_AHEAD = 64 };

typedef enum form {
    FORM_PLAIN,    ///< Widened to fp32.
    FORM_ROUNDED,  ///< Rounded to bf16, as fp32, odd ones first.
    FORM_PAIRED,   ///< Rounded to bf16, two in a word.
} form;

/// How an operand is read; constants wherever it is passed, so that no loop asks.
typedef struct reading {
    cairn_dtype dtype;
    form form;
} reading;

CAIRN_INLINE size_t element_size(cairn_dtype dtype) { return dtype == CAIRN_DTYPE_F32 ? 4 : 2; }

/// Whether elements are codes in blocks or rows with a scale, behind a description.
CAIRN_INLINE bool is_quantized(cairn_dtype dtype) {
    return dtype == CAIRN_DTYPE_I8 || dtype == CAIRN_DTYPE_NF4;
}

/// Asks for the place of an element.
CAIRN_INLINE void ask_for_element(const void *data, cairn_dtype dtype, size_t index) {
    if (dtype == CAIRN_DTYPE_NF4)
        __builtin_prefetch(((const cairn_nf4 *)data)->codes + index / 2);
    else if (dtype == CAIRN_DTYPE_I8)
        __builtin_prefetch(((const cairn_int8 *)data)->codes + index);
    else
        __builtin_prefetch((const char *)data + index * element_size(dtype));
}

/// Elements of a line of storage that make a word.
CAIRN_INLINE size_t word_length(const reading how) { return how.form == FORM_PAIRED ? 2 : 1; }

/// Elements index ..< index + count of an operand's storage, at most 16, widened.
CAIRN_INLINE v16 load_elements(const void *data, cairn_dtype dtype, size_t index, size_t count) {
    return count >= LANES ? v16_load_as(data, dtype, index)
                          : v16_load_first_as(data, dtype, index, count);
}

/// Sixteen words of storage that runs along k, from element `index` on; `count` elements are left.
CAIRN_INLINE v16 load_line(const void *data, const reading how, size_t index, size_t count) {
    if (how.form == FORM_PAIRED) {
        if (how.dtype == CAIRN_DTYPE_BF16) {
            uint16_t words[2 * LANES] = {0};
            if (count >= 2 * LANES) return v16_load_bytes((const uint16_t *)data + index);
            memcpy(words, (const uint16_t *)data + index, count * sizeof(uint16_t));
            return v16_load((const float *)words);
        }
        const v16 first = load_elements(data, how.dtype, index, count);
        return pairs_of_line(first, count <= LANES ? v16_zero()
                                                   : load_elements(data, how.dtype, index + LANES,
                                                                   count - LANES));
    }
    const v16 x = load_elements(data, how.dtype, index, count);
    if (how.form == FORM_PLAIN) return x;
    const v16 y = v16_round_bf16(x);
    return __builtin_shufflevector(y, y, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

/// The stored row at a position along k, for operands whose stored rows run across k.
CAIRN_INLINE size_t row_at(const cairn_matmul_plan *plan, size_t k, size_t position) {
    if (plan->order) return plan->order[position];
    const size_t row = plan->rounds ? position ^ 1 : position;
    return row < k ? row : CAIRN_NO_ROW;
}

CAIRN_INLINE v16 load_row(const cairn_matrix *x, size_t row, size_t j, size_t count) {
    if (row == CAIRN_NO_ROW || count == 0) return v16_zero();
    const size_t index = row * x->stride + j;
    ask_for_element(x->data, x->dtype, index + ROWS_AHEAD * x->stride);
    return load_elements(x->data, x->dtype, index, count);
}

/// Sixteen words at a place along k, a word of the block, of storage whose rows run across k:
/// columns j ..< j + count.
CAIRN_INLINE v16 load_across(const cairn_matmul_plan *plan, const cairn_matrix *x, size_t k,
                             const reading how, size_t place, size_t j, size_t count) {
    const cairn_matrix typed = {x->data, how.dtype, x->stride, false};
    if (how.form == FORM_PAIRED) {
        const size_t odd = row_at(plan, k, 2 * place), even = row_at(plan, k, 2 * place + 1);
        const v16 low = load_row(&typed, even, j, count), high = load_row(&typed, odd, j, count);
        return how.dtype == CAIRN_DTYPE_BF16 ? join_halves(low, high) : pairs_of_rows(low, high);
    }
    const v16 word = load_row(&typed, row_at(plan, k, place), j, count);
    return how.form == FORM_ROUNDED ? v16_round_bf16(word) : word;
}

/// Rows of A into rows of `stride` words.
CAIRN_INLINE void pack_a_rows(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                              const reading how, size_t i, size_t rows, float *packed,
                              size_t stride) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const size_t inside = part->k - block->begin, length = word_length(how);
    const size_t words = block->count / length;
    const size_t whole = (block->count < inside ? block->count : inside) / length;
    for (size_t row = 0; row < rows; row++) {
        const size_t first = (i + row) * part->a.stride + block->begin;
        float *to = packed + row * stride;
        size_t w = 0;
        for (; w + LANES <= whole; w += LANES)
            v16_store(to + w, load_line(part->a.data, how, first + w * length, LANES * length));
        for (; w < words; w += LANES) {
            const size_t e = w * length;
            const v16 x = load_line(part->a.data, how, first + e, e < inside ? inside - e : 0);
            store_columns(to + w, x, words - w);
        }
    }
}

/// A that is stored transposed: a line of A^T at a time into lines of MC.
CAIRN_INLINE void pack_a_columns(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                                 const reading how, size_t i, size_t rows, float *packed) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const size_t length = word_length(how), words = block->count / length;
    for (size_t w = 0; w < words; w++)
        for (size_t e = 0; e < rows; e += LANES)
            v16_store(packed + w * MC + e,
                      load_across(plan, &part->a, part->k, how, block->begin / length + w, i + e,
                                  rows - e));
}

/// B as it is stored: a row of B at a time into panels [k][NR].
CAIRN_INLINE void pack_b_rows(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                              const reading how, size_t j0, size_t tiles, float *packed) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const size_t columns = plan->n - j0 < tiles * NR ? plan->n - j0 : tiles * NR;
    const size_t length = word_length(how), words = block->count / length;
    for (size_t w = 0; w < words; w++)
        for (size_t v = 0; v < tiles * NV; v++) {
            const size_t j = v * LANES;
            v16_store(packed + (v / NV * words + w) * NR + v % NV * LANES,
                      load_across(plan, &part->b, part->k, how, block->begin / length + w, j0 + j,
                                  j < columns ? columns - j : 0));
        }
}

/// B that is stored transposed: sixteen columns at a time into panels [k][NR].
CAIRN_INLINE void pack_b_columns(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                                 const reading how, size_t j0, size_t tiles, float *packed) {
    const cairn_matmul_part *part = &plan->parts[block->part];
    const size_t inside = part->k - block->begin, length = word_length(how);
    const size_t words = block->count / length, size = element_size(how.dtype);
    const bool is_stored_in_words = (how.form == FORM_PLAIN && how.dtype == CAIRN_DTYPE_F32) ||
                                    (how.form == FORM_PAIRED && how.dtype == CAIRN_DTYPE_BF16);
    for (size_t column = 0; column < tiles * NR; column += LANES) {
        const size_t j = j0 + column;
        float *panel = packed + column / NR * NR * words + column % NR;
        for (size_t w = 0; w < words; w += LANES) {
            const size_t e = w * length, first = j * part->b.stride + block->begin + e;
            float *columns = panel + w * NR;
            if (is_stored_in_words && j + LANES <= plan->n && e + LANES * length <= inside &&
                w + LANES <= words) {
                store_transposed((const char *)part->b.data + first * size, part->b.stride * size,
                                 columns, LANES);
                continue;
            }
            float lines[LANES * LANES];
            for (size_t c = 0; c < LANES; c++) {
                v16 x = v16_zero();
                if (j + c < plan->n && e < inside)
                    x = load_line(part->b.data, how, first + c * part->b.stride, inside - e);
                v16_store(lines + c * LANES, x);
            }
            store_transposed((const char *)lines, LANES * sizeof(float), columns, words - w);
        }
    }
}

CAIRN_INLINE void pack_a_as(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                            const reading how, size_t i, size_t rows, float *packed,
                            size_t stride) {
    if (plan->parts[block->part].a.transposed)
        pack_a_columns(plan, block, how, i, rows, packed);
    else
        pack_a_rows(plan, block, how, i, rows, packed, stride);
}

CAIRN_INLINE void pack_b_as(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                            const reading how, size_t j0, size_t tiles, float *packed) {
    if (plan->parts[block->part].b.transposed)
        pack_b_columns(plan, block, how, j0, tiles, packed);
    else
        pack_b_rows(plan, block, how, j0, tiles, packed);
}

/// Calls `pack` with the constant reading of an operand.
#define PACK_TYPE(pack, type, ...) \
    if (plan->rounds) \
        pack(plan, block, (reading){type, HAS_PAIRS ? FORM_PAIRED : FORM_ROUNDED}, __VA_ARGS__); \
    else \
        pack(plan, block, (reading){type, FORM_PLAIN}, __VA_ARGS__);
#define PACK_AS(pack, operand, ...) \
    switch ((operand).dtype) { \
    case CAIRN_DTYPE_F32: \
        PACK_TYPE(pack, CAIRN_DTYPE_F32, __VA_ARGS__) \
        break; \
    case CAIRN_DTYPE_BF16: \
        PACK_TYPE(pack, CAIRN_DTYPE_BF16, __VA_ARGS__) \
        break; \
    case CAIRN_DTYPE_F16: \
        PACK_TYPE(pack, CAIRN_DTYPE_F16, __VA_ARGS__) \
        break; \
    case CAIRN_DTYPE_I8: \
        PACK_TYPE(pack, CAIRN_DTYPE_I8, __VA_ARGS__) \
        break; \
    case CAIRN_DTYPE_NF4: \
        PACK_TYPE(pack, CAIRN_DTYPE_NF4, __VA_ARGS__) \
        break; \
    }

/// Rows i ..< i + rows of A: in rows of `stride` words, or, stored transposed, in lines of MC.
static void pack_a(const cairn_matmul_plan *plan, const cairn_matmul_block *block, size_t i,
                   size_t rows, float *packed, size_t stride) {
    PACK_AS(pack_a_as, plan->parts[block->part].a, i, rows, packed, stride)
}

static void pack_b(const cairn_matmul_plan *plan, const cairn_matmul_block *block,
                   size_t first_tile, size_t tiles, float *packed) {
    PACK_AS(pack_b_as, plan->parts[block->part].b, first_tile * NR, tiles, packed)
}
#undef PACK_AS
#undef PACK_TYPE
