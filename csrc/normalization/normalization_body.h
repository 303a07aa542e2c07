// SPDX-License-Identifier: Apache-2.0
/// The normalization kernels, written once; every build_*.c includes this file under its own target.

static const cairn_normalization_kernels normalization_kernels = {.placeholder = 0};
