// SPDX-License-Identifier: Apache-2.0
/// The random kernels, written once; every build_*.c includes this file under its own target.

static const cairn_random_kernels random_kernels = {.placeholder = 0};
