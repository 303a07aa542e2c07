#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Compares Cairn's safetensors files, and what it refuses, with the reference library and torch.
#
# usage: run.sh CAIRN      CAIRN is the executable
# Installs torch (the CPU build where the index offers one), safetensors and numpy under .cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
    sed -n '5s/^# //p' "$0" >&2
    exit 2
fi
cache=${CAIRN_INTEROP_CACHE:-$here/../.cache}
mkdir -p "$cache"
venv=$(cd "$cache" && pwd)/safetensors
wanted='import torch, safetensors as s, numpy as n
assert (torch.__version__[:6], s.__version__, n.__version__) == ("2.13.0", "0.8.0", "2.4.6")'
if ! "$venv/bin/python" -c "$wanted" 2>/dev/null; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    pip=("$venv/bin/python" -m pip install -q --disable-pip-version-check)
    "${pip[@]}" torch==2.13.0+cpu || "${pip[@]}" torch==2.13.0
    "${pip[@]}" safetensors==0.8.0 numpy==2.4.6
fi
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/check.py" "$1"
