// SPDX-License-Identifier: Apache-2.0
/// Weights into codes of 8 and 4 bits, written once; every build_*.c includes this file.

static void quantize_int8(size_t begin, size_t end, size_t columns, size_t stride, const void *w,
                          cairn_dtype dtype, int8_t *codes, float *scales, int32_t *sums) {
    for (size_t row = begin; row < end; row++) {
        const size_t index = row * columns;
        const int8_factors factors = int8_factors_in(w, dtype, index, columns);
        const bool is_zero = factors.inverse == 0;
        int32_t sum = 0;
        for (size_t i = 0; i < stride; i += LANES) {
            const v16 numbers = is_zero || i >= columns
                                    ? v16_zero()
                                    : v16_load_weights(w, dtype, index + i, columns - i);
            const v16i rounded = int8_codes(numbers, factors.inverse);
            const v16b bytes = __builtin_convertvector(rounded, v16b);
            memcpy(codes + row * stride + i, &bytes, sizeof bytes);
            for (size_t lane = 0; lane < LANES; lane++) sum += rounded[lane];
        }
        scales[row] = factors.scale;
        sums[row] = sum;
    }
}

/// How many of the midpoints between neighbours in the table lie below x: the code of the nearest.
CAIRN_INLINE v16i nf4_codes(v16 x) {
    v16i codes = (v16i)(0);
    for (size_t i = 0; i < 15; i++)
        codes -= x > v16_set((nf4_table[i] + nf4_table[i + 1]) * 0.5f);
    return codes;
}

/// Codes of one block; gives its largest magnitude, NaN where an element is not finite.
static float nf4_quantize_block(const void *w, cairn_dtype dtype, size_t index, size_t count,
                                uint8_t *codes) {
    v16 magnitudes = v16_zero();
    v16i finite = (v16i)(-1);
    for (size_t i = 0; i < count; i += LANES) {
        const v16 magnitude = v16_abs(v16_load_weights(w, dtype, index + i, count - i));
        finite &= magnitude <= v16_set(3.40282347e38f);
        magnitudes = v16_max(magnitude, magnitudes);
    }
    const float found = v16_largest(magnitudes);
    const bool is_finite = v16i_is_set(finite);
    const float largest = !is_finite ? __builtin_nanf("") : found >= 0x1p-100f ? found : 0;
    const float inverse = largest > 0 ? 1 / largest : 0;
    for (size_t i = 0; i < count; i += LANES) {
        const v16 x = inverse == 0 ? v16_zero() : v16_load_weights(w, dtype, index + i, count - i);
        const v16i halves = nf4_codes(x * v16_set(inverse));
        const size_t left = count - i < LANES ? count - i : LANES;
        for (size_t e = 0; e < left; e += 2)
            codes[(i + e) / 2] =
                (uint8_t)(halves[e] << 4 | (e + 1 < left ? halves[e + 1] : 0));
    }
    return largest;
}

/// The scales of a group's blocks: the middle of their range, and steps of a 254th of it.
static void nf4_quantize_scales(const float *largest, size_t blocks, int8_t *scales, float *group) {
    float low = largest[0], high = largest[0];
    bool is_finite = true;
    for (size_t b = 0; b < blocks; b++) {
        is_finite &= largest[b] == largest[b];
        low = largest[b] < low ? largest[b] : low;
        high = largest[b] > high ? largest[b] : high;
    }
    const float middle = (low + high) * 0.5f;
    const int8_factors factors = int8_factors_of((high - low) * 0.5f, is_finite);
    for (size_t b = 0; b < blocks; b += LANES) {
        const v16 x = v16_load_some(largest + b, blocks - b) - v16_set(middle);
        const v16i codes =
            factors.inverse == 0 ? (v16i)(0) : int8_codes(x, factors.inverse);
        for (size_t i = 0; i < LANES && b + i < blocks; i++) scales[b + i] = (int8_t)codes[i];
    }
    group[0] = is_finite ? middle : __builtin_nanf("");
    group[1] = factors.scale;
}

static void quantize_nf4(size_t group, size_t count, const void *w, cairn_dtype dtype,
                         uint8_t *codes, int8_t *scales, float *groups) {
    float largest[CAIRN_NF4_GROUP];
    const size_t first = group * CAIRN_NF4_GROUP;
    size_t blocks = 0;
    for (; blocks < CAIRN_NF4_GROUP; blocks++) {
        const size_t index = (first + blocks) * CAIRN_NF4_BLOCK;
        if (index >= count) break;
        const size_t left = count - index;
        largest[blocks] =
            nf4_quantize_block(w, dtype, index, left < CAIRN_NF4_BLOCK ? left : CAIRN_NF4_BLOCK,
                               codes + index / 2);
    }
    nf4_quantize_scales(largest, blocks, scales + first, groups + 2 * group);
}

static const cairn_quantized_kernels quantized_kernels = {
    .mr = MR,
    .nr = NR,
    .code_bytes = INT8_CODE_BYTES,
    .int8_rows = int8_rows,
    .int8_unit = int8_unit,
    .quantize_int8 = quantize_int8,
    .quantize_nf4 = quantize_nf4,
};
