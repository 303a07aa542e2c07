#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Compares `cairn finetune --task causal` with torch: the same losses step by step, the same files.
#
# usage: run.sh CAIRN
# Tied and untied tiny decoders, each with LoRA, rsLoRA, DoRA and in full: the losses of three AdamW
# steps, validation loss and perplexity, the log-likelihoods of PEFT's and transformers' models, and
# the logits of what `cairn merge` makes of each.
# CAIRN_INTEROP_CACHE keeps the environment; CAIRN_INTEROP_WORK keeps the work folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../support/stacks.sh"

if [ $# -ne 1 ]; then
    sed -n '5s/^# //p' "$0" >&2
    exit 2
fi
prepare_stacks
work=${CAIRN_INTEROP_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
# python STACK: its chatter is shown when it fails.
python() {
    "$cache/$1/bin/python" "$here/check.py" "$2" "$here/../../Fixtures/golden" "$work/$1" \
        2>"$work/$1.log" || { tail -n 30 "$work/$1.log" && exit 1; }
}
python stack5 "$1"
python stack4 "$1"
