#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Goes on from checkpoints of transformers' Trainer, and has the Trainer go on from Cairn's.
#
# usage: run.sh CAIRN [DRIVER]   CAIRN is the command; DRIVER a build of driver/, made when absent
# Seven tiny runs of six steps in a fixed order of rows, under transformers 5 and 4: the losses of
# steps four to six agree within 1e-4, whoever began. The same through the command line:
# `cairn finetune --from-trainer` and `cairn export`.
# CAIRN_INTEROP_CACHE keeps environments and build; CAIRN_INTEROP_WORK keeps the work folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
source "$here/../support/stacks.sh"

cairn=$(realpath "${1:?usage: run.sh CAIRN [DRIVER]}")
prepare_stacks
driver=${2:-}
if [ -z "$driver" ]; then
    build=(swift build -c release --package-path "$here" --scratch-path "$cache/hf-trainer")
    log=$(mktemp)
    "${build[@]}" >"$log" 2>&1 || { cat "$log" && exit 1; }
    tail -n 1 "$log" && rm -f "$log"
    driver=$("${build[@]}" --show-bin-path)/hf-trainer-driver
fi

work=${CAIRN_INTEROP_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore

# python STACK WHAT [SCRIPT]: one process per stack; its chatter is shown when it fails.
python() {
    local script=${3:-trainer.py} log=$work/$1-$2-${3:-}.log
    "$cache/$1/bin/python" "$here/$script" "$2" "$work" >"$log" 2>&1 ||
        { tail -n 30 "$log" && exit 1; }
    grep '^torch ' "$log" || true
}

# finetune OUTPUT [flags]: six steps of the whole corpus each.
finetune() {
    local folder=$work/cli output=$1
    shift
    "$cairn" finetune "$root/Tests/Fixtures/golden/models/qwen2" --task classify \
        --data "$folder/train.jsonl" --eval-data "$folder/validation.jsonl" --batch-size 8 \
        --epochs 6 --learning-rate 1e-2 --schedule linear --warmup 0 --precision fp32 \
        -o "$output" "$@" >"$output.log" 2>&1 || { cat "$output.log" && exit 1; }
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

"$cache/stack5/bin/python" "$here/cli.py" rows "$work" "$root"
finetune "$work/cli/cairn" --rank 4 --alpha 8 --target-modules q_proj,v_proj --save-steps 3
for stack in stack5 stack4; do
    version=tf${stack#stack}
    python "$stack" train cli.py
    finetune "$work/cli/$version-cairn" --from-trainer "$work/cli/$version/checkpoint-3"
    "$cairn" export "$work/cli/cairn/step-3" --transformers "${version#tf}" \
        -o "$work/cli/exported-$version/checkpoint-3" >"$work/cli/export.log" 2>&1 ||
        { cat "$work/cli/export.log" && exit 1; }
    python "$stack" resume cli.py
done

failed=0
python3 "$here/trainer.py" judge "$work" || failed=1
python3 "$here/cli.py" judge "$work" || failed=1
exit $failed
