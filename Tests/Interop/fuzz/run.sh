#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Feeds every reader of files with what libFuzzer makes of the inputs in Tests/Fixtures/fuzz.
#
# usage: run.sh [--seconds N] [--runs N] [--only TARGET] [--keep DIR]
#   --seconds N   so long for each target (default 5);  --runs N   so many inputs instead
#   --keep DIR    keeps the build and the grown corpora there, and goes on from them
# A target fails on a crash, a trap, a leak, a read outside of memory, an input that takes more
# than 5 seconds, an allocation of more than 256 MB or a process of more than 1 GB. Before the
# readers, four programs with a known fault prove that each kind would be seen.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

seconds=5
runs=
only=
work=
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2 && shift 2 ;;
    --runs) runs=$2 && shift 2 ;;
    --only) only=$2 && shift 2 ;;
    --keep) work=$2 && shift 2 ;;
    *)
        sed -n '5p' "$0" | sed 's/^# //' >&2
        exit 2
        ;;
    esac
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch" "$TMPDIR"' EXIT
work=${work:-$scratch}
mkdir -p "$work"
work=$(cd "$work" && pwd)
# Readers that open files open them in memory, where the system has such a place.
if [ -w /dev/shm ]; then TMPDIR=$(mktemp -d -p /dev/shm); else TMPDIR=$(mktemp -d); fi
export TMPDIR
passed=0
failed=0

report() {
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$1"
    fi
}

swift=(swiftc -O -g -wmo -parse-as-library -package-name cairn -swift-version 6
    -sanitize=address,fuzzer -I "$work" -I "$root/csrc/digest/include" -I "$root/csrc/zlib")

# module FOLDER NAME: all of a module as one object, instrumented.
module() {
    find "$root/$1/$2" -name '*.swift' -print0 | sort -z | xargs -0 "${swift[@]}" -c \
        -module-name "$2" -emit-module -emit-module-path "$work/$2.swiftmodule" -o "$work/$2.o"
}

# By hand and not by the package, whose manifest has neither sanitizers nor a program without main.
build() {
    local side
    module Sources CairnTensor
    module Sources CairnText &
    side=$!
    module Sources CairnFormats
    for file in "$root/csrc/digest/"*.c; do
        clang -O1 -g -fsanitize=address,fuzzer-no-link -I "$root/csrc/digest/include" \
            -c "$file" -o "$work/digest_$(basename "$file" .c).o"
    done
    wait "$side"
    module Tests FuzzTargets
    "${swift[@]}" -use-ld=lld -module-name Fuzz "$here/Driver.swift" "$here/KnownFaults.swift" \
        "$work"/{CairnTensor,CairnText,CairnFormats,FuzzTargets}.o "$work"/digest_*.o -lz -o "$work/fuzz"
}

# Of the toolchain's Foundation: a regular expression that does not compile leaks 528 bytes there.
suppressions() { printf 'leak:libFoundation.so\n' >"$work/suppressions"; }

# fuzz TARGET LOG FLAGS...: one process of the fuzzer; its last lines say how many inputs it took.
fuzz() {
    local target=$1 log=$2
    shift 2
    CAIRN_FUZZ_TARGET=$target SWIFT_BACKTRACE=enable=no \
        ASAN_OPTIONS=symbolize=0:quarantine_size_mb=16 \
        LSAN_OPTIONS="suppressions=$work/suppressions:print_suppressions=0" \
        timeout -k 10 "$((seconds + 120))" "$work/fuzz" -seed=1 -malloc_limit_mb=256 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$work/$target-" \
        "$@" >"$log" 2>&1 </dev/null
}

# expect_fault NAME SENTENCE: the fuzzer stops at a reader that is known to be wrong, and says why.
expect_fault() {
    local code=0
    mkdir -p "$work/faults"
    printf 'F' >"$work/faults/one-letter"
    fuzz "known-$1" "$work/known-$1.log" -max_len=16 -timeout=1 -runs=2000000 \
        "$work/faults" || code=$?
    if [ "$code" -ne 0 ] && grep -q "$2" "$work/known-$1.log"; then
        report "a known fault is found: $1" 0
    else
        tail -n 20 "$work/known-$1.log"
        report "a known fault is found: $1" 1
    fi
}

# check_target TARGET: the inputs of the repository first, then what grows from them.
check_target() {
    local target=$1 code=0 count log="$work/$1.log" bound=(-max_total_time="$seconds")
    if [ -n "$runs" ]; then bound=(-runs="$runs"); fi
    mkdir -p "$work/corpus/$target"
    fuzz "$target" "$log" "${bound[@]}" -max_len="$2" -timeout=5 -detect_leaks=1 \
        "$work/corpus/$target" "$root/Tests/Fixtures/fuzz/$target" || code=$?
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    report "$target: ${count:-0} inputs" "$code"
    executed=$((executed + ${count:-0}))
    if [ "$code" -ne 0 ]; then
        tail -n 30 "$log"
        find "$work" -maxdepth 1 -type f -name "$target-*" ! -name '*.log' -print \
            -exec base64 {} \;
    fi
}

swiftc --version 2>/dev/null | head -n 1
start=$SECONDS
build
suppressions
echo "built in $((SECONDS - start)) s"
expect_fault address 'AddressSanitizer: heap-buffer-overflow'
expect_fault trap 'deadly signal'
expect_fault hang 'libFuzzer: timeout'
expect_fault memory 'libFuzzer: out-of-memory (malloc'
executed=0
while read -r target limit; do
    if [ -z "$only" ] || [ "$only" = "$target" ]; then check_target "$target" "$limit"; fi
done < <(CAIRN_FUZZ_TARGET= "$work/fuzz" </dev/null)
echo "$executed inputs to the readers in all"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
