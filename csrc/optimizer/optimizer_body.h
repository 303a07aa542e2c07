// SPDX-License-Identifier: Apache-2.0
/// The optimizer kernels, written once; every build_*.c includes this file under its own target.

static const cairn_optimizer_kernels optimizer_kernels = {.placeholder = 0};
