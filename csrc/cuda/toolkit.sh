#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs nvcc from the registry's wheels into a cache, where it is missing, and prints its place.
#
#   toolkit.sh           127 MB to load, 350 MB on disk
#   toolkit.sh --where   the place alone; installs nothing
set -euo pipefail
version=13.4
target=${CAIRN_CUDA_TOOLKIT:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn-cuda-$version}
place=$target/nvidia/cu13
if [ "${1:-}" = --where ]; then
    if [ -x "$place/bin/nvcc" ]; then echo "$place"; else echo /usr/local/cuda; fi
    exit 0
fi
if [ ! -x "$place/bin/nvcc" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --no-compile --target "$target" \
        nvidia-cuda-nvcc==13.4.92 nvidia-cuda-crt==13.4.92 nvidia-nvvm==13.4.92 \
        nvidia-cuda-runtime==13.4.92 nvidia-cuda-cccl==13.3.4.3.1 \
        nvidia-cuda-cuobjdump==13.4.92 nvidia-cuda-nvdisasm==13.4.92 >&2
fi
echo "$place"
