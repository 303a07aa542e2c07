#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Goes on from checkpoints of transformers' Trainer, and has the Trainer go on from Cairn's.
#
# usage: run.sh [DRIVER]     DRIVER is a build of driver/; it is made in the cache when absent
# Seven tiny runs of six steps in a fixed order of rows, under transformers 5 and 4: the losses of
# steps four to six agree within 1e-4, whoever began.
# CAIRN_INTEROP_CACHE keeps environments and build; CAIRN_INTEROP_WORK keeps the work folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
source "$here/../support/stacks.sh"

prepare_stacks
driver=${1:-}
if [ -z "$driver" ]; then
    build=(swift build -c release --package-path "$here" --scratch-path "$cache/hf-trainer")
    "${build[@]}" | tail -n 1
    driver=$("${build[@]}" --show-bin-path)/hf-trainer-driver
fi

work=${CAIRN_INTEROP_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore

# python STACK WHAT: one process per stack; its chatter is shown when it fails.
python() {
    "$cache/$1/bin/python" "$here/trainer.py" "$2" "$work" >"$work/$1-$2.log" 2>&1 ||
        { tail -n 30 "$work/$1-$2.log" && exit 1; }
    grep '^torch ' "$work/$1-$2.log" || true
}

python3 "$here/trainer.py" cases "$work" "$root"
python stack5 train
python stack4 train
for case in "$work"/*/; do
    case=${case%/}
    "$driver" start "$case/case.json" "$case/cairn" "$case/cairn.json"
    for version in tf5 tf4; do
        "$driver" resume "$case/case.json" "$case/$version/checkpoint-3" \
            "$case/$version-cairn.json" >"$case/$version-cairn.log"
    done
done
python stack5 resume
python stack4 resume
python3 "$here/trainer.py" judge "$work"
