// SPDX-License-Identifier: Apache-2.0
/// The attention kernels, written once; every build_*.c includes this file under its own target.

static const cairn_attention_kernels attention_kernels = {.placeholder = 0};
