#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## A build with CAIRN_CUDA=1 beside the library that nvcc makes of the same tree, on a machine without a GPU.
#
# usage: linked.sh [CAIRN]
# CAIRN is a build without CUDA (default: the release build of this checkout). Builds the library, and
# the program in .build-cuda: some minutes. Needs clang, python3 and pkg-config; installs nvcc as toolkit.sh does.
set -euo pipefail
cd "$(dirname "$0")/../../.."
plain=${1:-}
if [ -z "$plain" ]; then
    swift build -c release --product cairn
    plain=$(swift build -c release --show-bin-path)/cairn
fi
csrc/cuda/toolkit.sh >/dev/null
make -s -C csrc/cuda all
export PKG_CONFIG_PATH=$PWD/csrc/cuda/build LD_LIBRARY_PATH=$PWD/csrc/cuda/build
CAIRN_CUDA=1 swift build -c release --scratch-path .build-cuda --product cairn
linked=$(CAIRN_CUDA=1 swift build -c release --scratch-path .build-cuda --show-bin-path)/cairn

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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

# train CAIRN DEVICE: the digest goes to $digest, the exit code to $code, what was said to said.
train() {
    code=0
    rm -rf "$work/out"
    "$1" finetune Sources/CairnCLI/Quickstart/base --task classify --epochs 1 --batch-size 16 \
        --data Tests/Fixtures/golden/dataset/train.jsonl -o "$work/out" --device "$2" --json \
        >"$work/report" 2>"$work/said" || code=$?
    digest=$(sed -n 's/.*"state_digest": "\(.*\)".*/\1/p' "$work/report")
}
is_same() { [ "$code" -eq 0 ] && [ -n "$digest" ] && [ "$digest" = "$expected" ]; }
says() { grep -qE -- "$1" "$work/said"; }

expect "the program needs the library" eval 'readelf -d "$linked" | grep -q libcairncuda.so.1'
train "$plain" cpu
expected=$digest
expect "without CUDA, on the processor: $digest" [ -n "$digest" ]
train "$linked" cpu
expect "with CUDA, on the processor: the same digest" is_same
for device in cuda cuda:1 cuda-fixed; do
    train "$linked" "$device"
    name=$device
    [ "${device%:*}" != "$device" ] || name=$device:0
    expect "$device without a GPU: exit code 1" [ "$code" -eq 1 ]
    expect "$device without a GPU: a sentence" \
        says "^cairn: .*$name cannot be used: there is no (NVIDIA driver|CUDA device)"
    expect "$device without a GPU: nothing is written" [ ! -e "$work/out" ]
done
train "$plain" cuda
expect "without CUDA: a sentence" says "this build has no CUDA engine; CAIRN_CUDA=1"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
