// SPDX-License-Identifier: Apache-2.0
/// The first tile of a panel of B packs the panel on its way along k.
///
/// Packing is loads, shuffles and stores, multiplying is arithmetic: done in turns of four words,
/// one hides behind the other, and a panel that only few row tiles read costs little to pack.

/// How the panel's part of B is stored; a constant wherever it is passed, so that no loop asks.
/// What is in codes is packed beforehand.
typedef struct source_kind {
    bool is_lines;  ///< Columns that lie along k; else rows across k.
    cairn_dtype dtype;
    bool is_paired;  ///< A word of the panel is two bf16 numbers; else one fp32 number.
} source_kind;

/// Bytes that a word of the panel is made of.
CAIRN_INLINE size_t bytes_per_word(const source_kind kind) {
    return element_size(kind.dtype) * (kind.is_paired ? 2 : 1);
}

/// Whether a chunk of each line is converted before it is transposed.
CAIRN_INLINE bool is_converted_lines(const source_kind kind) {
    return kind.is_lines && kind.dtype != (kind.is_paired ? CAIRN_DTYPE_BF16 : CAIRN_DTYPE_F32);
}

/// A panel that is still to be packed.
typedef struct panel_source {
    bool is_lines;
    cairn_dtype dtype;
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

/// Four words of the panel, from word w on; lines in words.
CAIRN_INLINE void pack_four(const panel_source *source, const source_kind kind, size_t w,
                            float *panel) {
    if (kind.is_lines) {
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++)
            store_four_transposed(source->data + v * LANES * source->stride + w * sizeof(float),
                                  source->stride, panel + v * LANES, 4);
        return;
    }
#pragma clang loop unroll(full)
    for (size_t u = 0; u < 4; u++) {
        float *word = panel + u * NR;
        const char *row = source->data + (kind.is_paired ? 2 : 1) * (w + u) * source->stride;
        if (kind.is_paired && kind.dtype == CAIRN_DTYPE_BF16) {
            pack_paired_row(row, row + source->stride, word);
            continue;
        }
#pragma clang loop unroll(full)
        for (size_t v = 0; v < NV; v++) {
            const v16 x = v16_load_as(row, kind.dtype, v * LANES);
            v16_store(word + v * LANES,
                      kind.is_paired ? pairs_of_rows(x, v16_load_as(row + source->stride, kind.dtype,
                                                                    v * LANES))
                                     : x);
        }
    }
}

/// Asks the first-level cache for what is packed some turns after word w: the lines of a chunk are
/// so many, or so far apart, that no hardware foresees them.
CAIRN_INLINE void fetch_source(const panel_source *source, const source_kind kind, size_t w) {
    if (kind.is_lines) {
        // At each turn a share of the columns of the next chunk, or of the next two that are in one
        // line. The end of each line, for where it begins is being read.
        const size_t bytes = bytes_per_word(kind);
        const size_t span = bytes < sizeof(float) ? LINE / bytes : CHUNK, columns = NR * 4 / span;
        const uintptr_t next = (uintptr_t)source->data + w % span / 4 * columns * source->stride +
                               (w / span + 1) * span * bytes + LINE - 1;
#pragma clang loop unroll(full)
        for (size_t c = 0; c < columns; c++)
#pragma clang loop unroll(full)
            for (size_t byte = 0; byte < span * bytes; byte += LINE)
                __builtin_prefetch((const void *)(next + c * source->stride + byte));
        return;
    }
    const size_t rows = kind.is_paired ? 8 : 4, width = NR * element_size(kind.dtype);
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

/// A chunk of each line from word w on, in words of the panel.
CAIRN_INLINE void convert_lines(const panel_source *source, const source_kind kind, size_t w,
                                float *lines) {
    for (size_t c = 0; c < NR; c++) {
        const char *line = source->data + c * source->stride;
        const size_t first = kind.is_paired ? 2 * w : w;
        v16 x = v16_load_as(line, kind.dtype, first);
        if (is_converted_lines(kind) && kind.is_paired)
            x = pairs_of_line(x, v16_load_as(line, kind.dtype, first + LANES));
        else if (kind.is_paired)
            x = v16_load_bytes(line + w * sizeof(float));
        v16_store(lines + c * CHUNK, x);
    }
}

// Lines that are this many bytes apart lie on two sets of a first-level cache at most, which has
// 64 sets of 64 bytes. They drive each other out between one turn and the next, so that a chunk of
// each is copied first. At other distances the copy would cost more than it saves.
enum { SETS_REPEAT = 2048 };

/// A full tile of a block with one run, of `words` words, a multiple of CHUNK.
CAIRN_INLINE void first_tile_of(const cairn_matmul_plan *plan, const register_tile *t,
                                const panel_source *source, float *panel, size_t words,
                                const source_kind kind) {
    const tile_shape shape = {MR, NV, kind.is_paired};
    const bool is_copied =
        is_converted_lines(kind) || (kind.is_lines && source->stride % SETS_REPEAT == 0);
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
            if (is_copied) {
                convert_lines(source, kind, w, lines);
                near.data = (const char *)lines;
                near.stride = CHUNK * sizeof(float);
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

CAIRN_INLINE void first_tile_of_type(const cairn_matmul_plan *plan, const register_tile *t,
                                     const panel_source *source, float *panel, size_t words,
                                     const cairn_dtype dtype) {
    if (HAS_PAIRS && plan->rounds) {
        if (source->is_lines)
            first_tile_of(plan, t, source, panel, words, (source_kind){true, dtype, true});
        else
            first_tile_of(plan, t, source, panel, words, (source_kind){false, dtype, true});
    } else {
        if (source->is_lines)
            first_tile_of(plan, t, source, panel, words, (source_kind){true, dtype, false});
        else
            first_tile_of(plan, t, source, panel, words, (source_kind){false, dtype, false});
    }
}

static void matmul_first_tile(const cairn_matmul_plan *plan, const register_tile *t,
                              const panel_source *source, float *panel, size_t words) {
    if (source->dtype == CAIRN_DTYPE_F32)
        first_tile_of_type(plan, t, source, panel, words, CAIRN_DTYPE_F32);
    else if (source->dtype == CAIRN_DTYPE_BF16)
        first_tile_of_type(plan, t, source, panel, words, CAIRN_DTYPE_BF16);
    else
        first_tile_of_type(plan, t, source, panel, words, CAIRN_DTYPE_F16);
}
