// SPDX-License-Identifier: Apache-2.0
/// The roof of one core: fused multiply-adds that stay in registers, and copies.
#ifndef CAIRN_ROOF_H
#define CAIRN_ROOF_H

/// Billions of fp32 operations per second on the calling thread, with the widest instructions that
/// the machine has (AVX-512, AVX2 with FMA, NEON, or plain `fmaf`); a multiply-add counts as two.
/// The best of several runs: nothing that loads or stores can be faster.
double cairn_roof_fp32(void);

/// The same for products of bf16 pairs summed in fp32; 0 where the machine has no instruction.
double cairn_roof_bf16(void);

/// Billions of bytes per second, read and written together, of the calling thread copying arrays
/// of a few MB: the size of a micro-batch's activations.
double cairn_roof_memory(void);

#endif
