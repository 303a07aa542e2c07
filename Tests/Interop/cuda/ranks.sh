#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Ranks that train on GPUs of the simulator: one digest with NCCL's double, without it, and alone.
#
# usage: ranks.sh [CAIRN]
# CAIRN is a build with CAIRN_CUDA=sim and CAIRN_MPI=1, for the mpirun on the path (default: a debug build
# of this checkout with optimized kernels in .build-cuda-ranks, some minutes). Needs clang, python3 and MPI.
set -euo pipefail
cd "$(dirname "$0")/../../.."
cairn=${1:-}
if [ -z "$cairn" ]; then
    flavour=(-Xcc -O2 -Xcxx -O1 --scratch-path .build-cuda-ranks)
    CAIRN_CUDA=sim CAIRN_MPI=1 swift build "${flavour[@]}" --product cairn
    cairn=$(CAIRN_CUDA=sim CAIRN_MPI=1 swift build "${flavour[@]}" --show-bin-path)/cairn
fi
make -s -C csrc/cuda build/nccl/libnccl.so.2

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
nccl=$PWD/csrc/cuda/build/nccl
golden=$PWD/Tests/Fixtures/golden
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
head -n 40 "$golden/dataset/train.jsonl" >"$work/rows.jsonl"
passed=0 failed=0

expect() { # WHAT CONDITION...
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok   $what"
    else
        failed=$((failed + 1))
        echo "FAIL $what"
        tail -n 5 "$work/said"
    fi
}

# train RANKS [FLAG...]: the digest goes to $digest, the exit code to $code, what was said to said.
train() {
    local start=()
    [ "$1" = 1 ] || start=(mpirun --oversubscribe --bind-to none -n "$1")
    shift
    rm -rf "$work/out"
    code=0
    "${start[@]}" "$cairn" finetune "$golden/models/qwen2" --task classify --data "$work/rows.jsonl" \
        -o "$work/out" --epochs 1 --batch-size 16 --dropout 0.1 --threads 1 --json "$@" \
        >"$work/report" 2>"$work/said" || code=$?
    digest=$(sed -n 's/.*"state_digest": "\(.*\)".*/\1/p' "$work/report")
}
says() { grep -qF -- "$1" "$work/said"; }
by_nccl() { says 'gradients go from GPU to GPU over NCCL 2.27.3'; }
by_host() { says "gradients go over the hosts' memory and MPI, not from GPU to GPU: $1"; }
is_same() { [ "$code" -eq 0 ] && [ -n "$digest" ] && [ "$digest" = "$expected" ]; }

for precision in fp32 bf16; do
    words=(--device cuda-fixed --precision "$precision")
    train 1 "${words[@]}"
    expected=$digest
    expect "$precision, one process: $digest" [ -n "$digest" ]
    for ranks in 2 3 4; do
        LD_LIBRARY_PATH=$nccl train "$ranks" "${words[@]}"
        expect "$precision, $ranks ranks over NCCL: the digest of one process" is_same
        expect "$precision, $ranks ranks over NCCL: it is said" by_nccl
    done
    train 2 "${words[@]}"
    expect "$precision, 2 ranks without NCCL: the digest of one process" is_same
    expect "$precision, 2 ranks without NCCL: its absence is said" \
        by_host 'NCCL is not there: libnccl.so.2'
done

words=(--device cuda-fixed --precision bf16)
CUSIM_NCCL_FAIL=join LD_LIBRARY_PATH=$nccl train 2 "${words[@]}"
expect "ranks that NCCL does not join: the digest of one process" is_same
expect "ranks that NCCL does not join: it is said" by_host 'NCCL: joining the ranks: invalid usage'
CUSIM_NCCL_FAIL=group LD_LIBRARY_PATH=$nccl train 2 "${words[@]}"
expect "messages that NCCL refuses end all ranks" [ "$code" -ne 0 ]
expect "messages that NCCL refuses: it is said" \
    says 'NCCL: messages between GPUs: unhandled system error'
train 2 --device cpu --precision bf16
expect "ranks on processors: nothing of NCCL is said" eval '[ "$code" -eq 0 ] && ! says NCCL'

# One rank alone without the library, and all do without it.
cat >"$work/one" <<'SCRIPT'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" = 1 ] && unset LD_LIBRARY_PATH
exec "$@"
SCRIPT
chmod +x "$work/one"
train_apart() {
    local real=$cairn
    cat >"$work/apart" <<SCRIPT
#!/bin/sh
exec "$work/one" "$real" "\$@"
SCRIPT
    chmod +x "$work/apart"
    cairn=$work/apart LD_LIBRARY_PATH=$nccl train 2 "${words[@]}"
}
train_apart
expect "one rank without NCCL: the digest of one process" is_same
expect "one rank without NCCL: which one is said" by_host 'rank 1: NCCL is not there: libnccl.so.2'

rm -rf /tmp/cairn-nccl-*
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
