#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Reads what `cairn` writes as APR v2, and writes what it reads, by a second implementation.
#
# usage: run.sh CAIRN      CAIRN is the executable
# Needs python3 and nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
    sed -n '5s/^# //p' "$0" >&2
    exit 2
fi
PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/check.py" "$1"
