// SPDX-License-Identifier: Apache-2.0
/// The engine's kernels and host code, compiled for the simulator.

#include "../src/all.cu"
