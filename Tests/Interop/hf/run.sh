#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Opens what `cairn` writes with the real transformers and PEFT, two generations of each.
#
# usage: run.sh CAIRN [--quick] [--only TEXT] [--no-merge]   CAIRN is the release binary
#        run.sh --selftest                      the checker itself, on directories that PEFT wrote
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the two environments between runs;
# CAIRN_INTEROP_WORK keeps the work folder for a look afterwards.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../support/stacks.sh"

usage() {
    sed -n '5,6s/^# //p' "$0" >&2
    exit 2
}
[ $# -ge 1 ] || usage
mode=tool
if [ "$1" = --selftest ]; then mode=selftest; fi
if [ "$mode" = tool ] && [ ! -x "$1" ]; then
    echo "run.sh: $1 is not an executable" >&2
    usage
fi

prepare_stacks

work=${CAIRN_INTEROP_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore

"$cache/stack5/bin/python" "$here/make_bases.py" "$work"
if [ "$mode" = selftest ]; then
    "$cache/stack5/bin/python" "$here/selftest.py" "$work"
else
    python3 "$here/drive.py" "$work" "$@"
fi
"$cache/stack5/bin/python" "$here/check.py" "$work" tf5
"$cache/stack4/bin/python" "$here/check.py" "$work" tf4
if [ "$mode" = selftest ]; then
    python3 "$here/selftest.py" "$work" --judge
else
    python3 "$here/tally.py" "$work" tf5 tf4
fi
