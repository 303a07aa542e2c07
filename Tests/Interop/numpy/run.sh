#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# numpy's npy and npz and ours: every type, order and shape each way, refusals, more than 4 GiB.
#
# usage: run.sh
# CAIRN names the executable; without it, the release build of this package is made and used.
# The large arrays are sparse files under the system's temporary directory: 4.4 GB long, a few MB
# on the disk.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cache=${CAIRN_INTEROP_CACHE:-$root/Tests/Interop/.cache}/numpy

python=$cache/venv/bin/python
if ! "$python" -c 'import numpy, ml_dtypes; assert numpy.__version__ == "2.3.5"' 2>/dev/null; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install -q numpy==2.3.5 ml_dtypes==0.5.4
fi
cairn=${CAIRN:-}
if [ -z "$cairn" ]; then
  swift build -c release --package-path "$root" --product cairn
  cairn=$(swift build -c release --package-path "$root" --show-bin-path)/cairn
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" "$here/check.py" "$cairn" "$work"
