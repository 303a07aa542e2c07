// SPDX-License-Identifier: Apache-2.0
/// The sizes of the matmul: register tile and cache blocks of each instruction set.

/// MR x NR, the register tile: NV vectors of 16 columns for each of MR rows.
///
/// - AVX2: 6 x 16 is 12 ymm accumulators; with 2 for B and 1 for A, 15 of 16 registers. Two fused
///   multiply-adds per cycle with a latency of 4 need 8 accumulators.
/// - AVX-512: 12 x 32 is 24 zmm accumulators, with 2 for B and 1 for A 27 of 32.
/// - NEON: 6 x 16 is 24 accumulators of 4 lanes; with 4 for B and 1 for A, 29 of 32.
/// - Scalar: 4 x 16, whatever the registers are.
///
/// CAIRN_TEST_WIDE_TILES gives every vector build the tile of AVX-512, to test it without one.
#if defined(CAIRN_BUILD_SCALAR)
enum { MR = 4, NV = 1 };
#elif defined(CAIRN_BUILD_AVX512) || defined(CAIRN_TEST_WIDE_TILES)
#define CAIRN_WIDE_TILES 1
enum { MR = 12, NV = 2 };
#else
enum { MR = 6, NV = 1 };
#endif

enum {
    NR = NV * LANES,
    LEAST_TILES_TO_PACK = 4,  // A panel read less often costs more to pack than to read as it is.
    UNROLL = NV == 1 ? 4 : 1,  // Positions along k per branch: with 24 accumulators 4 would spill.

    LINE = 64,           // Bytes of a cache line, or half of one.
    CHUNK = 16,          // Words in it: how often a tile looks ahead.
    ROWS_PER_PACK = 32 / MR * MR,  // A task of packing A beforehand: some microseconds.

    // KC, in words. With one vector per row a panel of B (KC x NR, 20 KB) stays in a first-level
    // cache of 32 KB beside a tile of A while the row tiles pass by. With two it would have to be
    // so short that the accumulators were kept and fetched at every turn; instead it streams from
    // the second level, 128 bytes for 24 multiply-adds of a cycle each, and KC spans all of k = 896
    // in pairs of bf16.
    KC = NV == 1 ? 320 : 512,

    // The packed block of A (MC x KC, at most 200 KB) and that of B (KC x NC, at most 400 KB) stay
    // in a second-level cache of 1 MB; what accumulators keep between blocks (400 KB) passes by.
    MC = 96,
    MC_TILES = MC / MR,
    COLUMN_TILES = 192 / NR,
    ROW_TILES = 516 / MR,

    PACKED_A_FLOATS = MC * (KC + LANES),
    PACKED_B_FLOATS = COLUMN_TILES * NR * KC,
    KEPT_FLOATS = ROW_TILES * MR * COLUMN_TILES * NR,
    WORKSPACE_FLOATS = (PACKED_A_FLOATS + PACKED_B_FLOATS + KEPT_FLOATS + 15) / 16 * 16,
};

_Static_assert(MC % MR == 0 && MC % LANES == 0, "a packed block of A holds whole tiles and lanes");
_Static_assert(KC % (2 * LANES) == 0, "blocks begin at whole vectors, of pairs too");
