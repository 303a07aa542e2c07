// SPDX-License-Identifier: Apache-2.0
/// The first tile of a panel of B packs the panel on its way along k.
///
/// Packing is loads, shuffles and stores, multiplying is arithmetic: done in turns of four words,
/// one hides behind the other, and a panel that only few row tiles read costs little to pack.

/// How the panel's part of B is stored. What is in codes is packed beforehand, and fp16 that becomes
/// fp32.
typedef enum source_kind {
    SOURCE_ROWS,          ///< Rows of fp32 across k.
    SOURCE_LINES,         ///< Columns whose words lie along k: fp32, or bf16 in pairs.
    SOURCE_PAIRED_ROWS,   ///< Rows of bf16 across k, to be paired.
    SOURCE_ROUNDED_LINES, ///< Columns of fp32 along k, to be rounded to pairs.
    SOURCE_ROUNDED_ROWS,  ///< Rows of fp32 across k, to be rounded to pairs.
    SOURCE_HALF_LINES,    ///< Columns of fp16 along k, to be rounded to pairs.
    SOURCE_HALF_ROWS      ///< Rows of fp16 across k, to be rounded to pairs.
} source_kind;

/// Whether a chunk of each column is rounded to pairs before it is transposed.
CAIRN_INLINE bool is_rounded_lines(const source_kind kind) {
    return kind == SOURCE_ROUNDED_LINES || kind == SOURCE_HALF_LINES;
}

/// A panel that is still to be packed.
typedef struct panel_source {
    source_kind kind;
    const char *data;
    size_t stride;  ///< Bytes from one stored row or line to the next.
} panel_source;

/// One word of the panel from two rows of bf16 numbers.
CAIRN_INLINE void pack_paired_row(const char *even, const char *odd, float *panel) {
#if defined(CAIRN_WIDE_TILES)
    typedef uint16_t halves __attribute__((ext_vector_type(2 * LANES)));
    typedef halves halves_unaligned __attribute__((aligned(2)));
    const halves x = *(const halves_unaligned *)even, y = *(const halves_unaligned *)odd;
    v16_store(panel, (v16)__builtin_shufflevector(
                         x, y, 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41,
                         10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47));
    v16_store(panel + LANES,
              (v16)__builtin_shufflevector(x, y, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22,
                                           54, 23, 55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29,
                                           61, 30, 62, 31, 63));
#else
    v16_store(panel, join_halves(v16_load_as(even, CAIRN_DTYPE_BF16, 0),
                                 v16_load_as(odd, CAIRN_DTYPE_BF16, 0)));
#endif
}

/// Four words of the panel, from word w on.
CAIRN_INLINE void pack_four(const panel_source *source, const source_kind kind, size_t w,
                            float *panel) {
    if (kind == SOURCE_LINES || is_rounded_lines(kind)) {
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++)
            store_four_transposed(source->data + v * LANES * source->stride + w * sizeof(float),
                                  source->stride, panel + v * LANES, 4);
        return;
    }
#pragma clang loop unroll(full)
    for (size_t u = 0; u < 4; u++) {
        float *word = panel + u * NR;
        if (kind == SOURCE_PAIRED_ROWS) {
            const char *even = source->data + 2 * (w + u) * source->stride;
            pack_paired_row(even, even + source->stride, word);
            continue;
        }
        if (kind == SOURCE_ROUNDED_ROWS) {
            const float *even = (const float *)(source->data + 2 * (w + u) * source->stride);
            const float *odd = (const float *)((const char *)even + source->stride);
#pragma clang loop unroll(full)
            for (size_t v = 0; v < NV; v++)
                v16_store(word + v * LANES,
                          pairs_of_rows(v16_load(even + v * LANES), v16_load(odd + v * LANES)));
            continue;
        }
        if (kind == SOURCE_HALF_ROWS) {
            const char *even = source->data + 2 * (w + u) * source->stride;
            const char *odd = even + source->stride;
#pragma clang loop unroll(full)
            for (size_t v = 0; v < NV; v++)
                v16_store(word + v * LANES,
                          pairs_of_rows(v16_load_as(even, CAIRN_DTYPE_F16, v * LANES),
                                        v16_load_as(odd, CAIRN_DTYPE_F16, v * LANES)));
            continue;
        }
        const float *row = (const float *)(source->data + (w + u) * source->stride);
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++) v16_store(word + v * LANES, v16_load(row + v * LANES));
    }
}

/// Asks the first-level cache for what is packed some turns after word w: the lines of a chunk are
/// so many, or so far apart, that no hardware foresees them.
CAIRN_INLINE void fetch_source(const panel_source *source, const source_kind kind, size_t w) {
    if (kind == SOURCE_LINES || kind == SOURCE_HALF_LINES) {
        // A quarter of the lines of the next chunk at each of the four turns of this one.
        // The end of each, for the line that it begins in is being read.
        const uintptr_t next = (uintptr_t)source->data +
                               (w % CHUNK) * (NR / CHUNK) * source->stride +
                               (w / CHUNK + 2) * CHUNK * sizeof(float) - 1;
#pragma clang loop unroll(full)
        for (size_t c = 0; c < NR / 4; c++)
            __builtin_prefetch((const void *)(next + c * source->stride));
        return;
    }
    if (kind == SOURCE_ROUNDED_LINES) {
        // Two lines of each column to the chunk.
        const uintptr_t next = (uintptr_t)source->data +
                               (w % CHUNK) * (NR / CHUNK) * source->stride +
                               (w / CHUNK + 1) * 2 * CHUNK * sizeof(float) + LINE - 1;
#pragma clang loop unroll(full)
        for (size_t c = 0; c < NR / 4; c++) {
            __builtin_prefetch((const void *)(next + c * source->stride));
            __builtin_prefetch((const void *)(next + c * source->stride + LINE));
        }
        return;
    }
    const size_t rows = kind == SOURCE_ROWS ? 4 : 8;
    const bool is_half = kind == SOURCE_PAIRED_ROWS || kind == SOURCE_HALF_ROWS;
    const size_t width = NR * (is_half ? sizeof(uint16_t) : sizeof(float));
    const uintptr_t next = (uintptr_t)source->data + (w / 4 + 2) * rows * source->stride;
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
#pragma clang loop unroll(full)
        for (size_t byte = 0; byte < width; byte += LINE)
            __builtin_prefetch((const void *)(next + r * source->stride + byte));
        // Weights in a file seldom begin at a line: a row then ends in one line more.
        __builtin_prefetch((const void *)(next + r * source->stride + width - 1));
    }
}

// Lines that are this many bytes apart lie on two sets of a first-level cache at most, which has
// 64 sets of 64 bytes. They drive each other out between one turn and the next, so that a chunk of
// each is copied first. At other distances the copy would cost more than it saves.
enum { SETS_REPEAT = 2048 };

/// A full tile of a block with one run, of `words` words, a multiple of CHUNK.
CAIRN_INLINE void first_tile_of(const cairn_matmul_plan *plan, const register_tile *t,
                                const panel_source *source, float *panel, size_t words,
                                const source_kind kind, const bool is_paired) {
    const tile_shape shape = {MR, NV, is_paired};
    const bool meets = kind == SOURCE_LINES && source->stride % SETS_REPEAT == 0;
    float lines[NR * CHUNK];
    panel_source near = *source;
    size_t near_first = 0;
    accumulators acc;
    start_run(t, shape, t->runs->start, &acc);
    ask_for_result(plan, t, shape, t->runs->end);
    for (size_t w = 0; w < words; w += 4) {
        if (w % CHUNK == 0) {
            look_ahead(&t->next_a, w / CHUNK);
            look_ahead(&t->next_b, w / CHUNK);
            if (is_rounded_lines(kind)) {
                const cairn_dtype dtype =
                    kind == SOURCE_HALF_LINES ? CAIRN_DTYPE_F16 : CAIRN_DTYPE_F32;
                for (size_t c = 0; c < NR; c++) {
                    const char *line = source->data + c * source->stride;
                    v16_store(lines + c * CHUNK,
                              pairs_of_line(v16_load_as(line, dtype, 2 * w),
                                            v16_load_as(line, dtype, 2 * w + LANES)));
                }
            } else if (meets) {
                for (size_t c = 0; c < NR; c++)
                    v16_store(lines + c * CHUNK,
                              v16_load_bytes(source->data + c * source->stride + w * sizeof(float)));
            }
            if (meets || is_rounded_lines(kind)) {
                near = (panel_source){kind, (const char *)lines, CHUNK * sizeof(float)};
                near_first = w;
            }
        }
        fetch_source(source, kind, w);
        pack_four(&near, kind, w - near_first, panel + w * NR);
        multiply_add(&acc, shape, 4, t->a + w, t->row_stride, 1, panel + w * NR, NR);
    }
    if (t->tail_words > 0)
        multiply_add(&acc, shape, t->tail_words, t->tail_a, t->tail_stride, 1, t->tail_b, NR);
    end_run(plan, t, shape, t->runs->end, &acc);
}

static void matmul_first_tile(const cairn_matmul_plan *plan, const register_tile *t,
                              const panel_source *source, float *panel, size_t words) {
    if (source->kind == SOURCE_PAIRED_ROWS)
        first_tile_of(plan, t, source, panel, words, SOURCE_PAIRED_ROWS, true);
    else if (source->kind == SOURCE_ROUNDED_LINES)
        first_tile_of(plan, t, source, panel, words, SOURCE_ROUNDED_LINES, true);
    else if (source->kind == SOURCE_ROUNDED_ROWS)
        first_tile_of(plan, t, source, panel, words, SOURCE_ROUNDED_ROWS, true);
    else if (source->kind == SOURCE_HALF_LINES)
        first_tile_of(plan, t, source, panel, words, SOURCE_HALF_LINES, true);
    else if (source->kind == SOURCE_HALF_ROWS)
        first_tile_of(plan, t, source, panel, words, SOURCE_HALF_ROWS, true);
    else if (source->kind == SOURCE_ROWS)
        first_tile_of(plan, t, source, panel, words, SOURCE_ROWS, false);
    else if (HAS_PAIRS && plan->rounds)
        first_tile_of(plan, t, source, panel, words, SOURCE_LINES, true);
    else
        first_tile_of(plan, t, source, panel, words, SOURCE_LINES, false);
}
