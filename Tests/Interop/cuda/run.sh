#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA engine without a GPU. Part A runs its kernels on the simulator and needs clang only; part
# B builds them with nvcc from the registry's wheels, holds the library against its budgets, runs the
# PTX, and asks the library for a device.
#
#   run.sh [a|b]   one part alone
#
# ranks.sh and linked.sh beside it build the whole program, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../../.."
part=${1:-both}

part_a() {
    echo "-- kernels on the simulator: plain in four orders, ASan+UBSan, TSan"
    make -s -C csrc/cuda -j2 check-sim
    echo "-- messages between ranks, with a double of NCCL and without any"
    make -s -C csrc/cuda check-ranks
}

part_b() {
    local code=0
    if ! csrc/cuda/toolkit.sh >/dev/null; then
        echo "!! PART B SKIPPED: the registry is unreachable, so there is no nvcc." >&2
        return 0
    fi
    echo "-- nvcc: sm_80, sm_90 and PTX; budgets, exports, needed libraries, tensor cores"
    make -s -C csrc/cuda -j2 all check-gate
    echo "-- nvcc's PTX on the simulator"
    make -s -C csrc/cuda check-ptx
    echo "-- the library itself"
    make -s -C csrc/cuda build/test_real build/ranks_real
    csrc/cuda/build/ranks_real none
    csrc/cuda/build/test_real || code=$?
    # 0 where there is a GPU after all, 77 where the library says that there is none.
    [ "$code" -eq 0 ] || [ "$code" -eq 77 ]
}

[ "$part" = b ] || part_a
[ "$part" = a ] || part_b
