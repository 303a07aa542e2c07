#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Weights in 8 and 4 bits against numpy's arithmetic and against bitsandbytes.
#
# usage: run.sh
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the environments between runs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
source "$here/../support/stacks.sh"

prepare_stacks
# bitsandbytes asks for torch, which is borrowed: a second copy would double the download.
quantized=(bitsandbytes==0.50.2)
if ! matches "$cache/quantized" "${quantized[@]}"; then
    rm -rf "$cache/quantized"
    python3 -m venv "$cache/quantized"
    "$cache/quantized/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
        "${quantized[@]}"
    site='import sysconfig; print(sysconfig.get_paths()["purelib"])'
    "$cache/stack5/bin/python" -c "$site" \
        >"$("$cache/quantized/bin/python" -c "$site")/zz_torch.pth"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find "$root/csrc" -name '*.c' -not -path '*/cuda/*' -not -path '*/mpi/*' -not -path '*/digest/*' \
    -print0 | xargs -0 -P 2 -I{} bash -c '
        ${CC:-clang} -std=c11 -O2 -I"$1/csrc" -I"$1/csrc/include" -c "$2" \
            -o "$3/$(echo "$2" | tr / _).o"' _ "$root" {} "$work"
${CC:-clang} -std=c11 -Wall -Wextra -O2 -I"$root/csrc/include" "$here/driver.c" "$work"/*.o \
    -lm -lpthread -o "$work/driver"
PYTHONDONTWRITEBYTECODE=1 "$cache/quantized/bin/python" "$here/check.py" "$work/driver"
