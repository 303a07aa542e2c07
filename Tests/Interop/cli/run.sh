#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Runs the example of every command's --help as written, and tries completions and manual pages.
#
# usage: run.sh CAIRN        CAIRN is a binary of either configuration
# Needs python3. bash completes; zsh, fish and mandoc are asked where they are installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
    sed -n '5s/^# //p' "$0" >&2
    exit 2
fi
cairn=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
"$cairn" --version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -u "$here/check.py" "$cairn" "$(cd "$here/../../.." && pwd)" "$work"
