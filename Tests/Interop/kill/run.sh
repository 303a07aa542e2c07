#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Kills saving runs of `cairn` at random moments and looks at what every one of them leaves.
#
# usage: run.sh CAIRN [--kills N] [--seed N]     (1000 kills unless told)
# Needs python3 and nothing else. The run is the real job on the smallest base of the fixtures, with
# a checkpoint after every step.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 1 ]; then
    echo "usage: run.sh CAIRN [--kills N] [--seed N]" >&2
    exit 2
fi
cairn=$1
shift
python3 --version
exec python3 "$here/kill.py" "$cairn" "$(cd "$here/../../.." && pwd)" "$@"
