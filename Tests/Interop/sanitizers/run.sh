#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Runs the C tests under the address, undefined-behaviour and thread sanitizers of the toolchain.
#
# usage: run.sh [WORKDIR]     (WORKDIR keeps objects and logs; a temporary folder when absent)
# Before the tests, three programs with a known fault prove that each sanitizer would speak.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../support/c_tests.sh"

work=${1:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1

# The thread sanitizer of a Swift toolchain intercepts libdispatch and must be linked with it.
resources=$(clang -print-resource-dir)
swift_libraries=$(cd "$resources/../../swift/linux" 2>/dev/null && pwd || true)
link=(-fuse-ld=lld -pthread -Wl,--no-as-needed -lm)
thread_link=("${link[@]}")
if [ -n "$swift_libraries" ] && [ -f "$swift_libraries/libdispatch.so" ]; then
    thread_link+=(-L"$swift_libraries" -ldispatch -lBlocksRuntime -Wl,-rpath,"$swift_libraries")
fi
memory_cc=(clang -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined
    -fno-sanitize-recover=all)
thread_cc=(clang -g -O1 -fno-omit-frame-pointer -fsanitize=thread)

# expect_fault NAME PROGRAM: the sanitizer must stop a program that is known to be wrong.
expect_fault() {
    local code=0
    "$work/$2" "$1" >"$work/$1.log" 2>&1 || code=$?
    if [ "$code" -ne 0 ] && grep -qE 'Sanitizer|runtime error' "$work/$1.log"; then
        report "a known $1 fault is caught" 0
    else
        cat "$work/$1.log"
        report "a known $1 fault is caught" 70
    fi
}

mkdir -p "$work"
"${memory_cc[@]}" "$here/known_faults.c" -o "$work/faults_memory" "${link[@]}"
"${thread_cc[@]}" "$here/known_faults.c" -o "$work/faults_thread" "${thread_link[@]}"
expect_fault address faults_memory
expect_fault undefined faults_memory
expect_fault thread faults_thread

compile_objects "$work/memory" "${memory_cc[@]}" && code=0 || code=$?
report 'csrc and Tests/C compile with address,undefined' "$code"
compile_objects "$work/thread" "${thread_cc[@]}" && code=0 || code=$?
report 'csrc and Tests/C compile with thread' "$code"
if [ "$failed" -ne 0 ]; then
    close_report
    exit 1
fi

for name in $(programs); do
    if [ "$name" = dump_bits ]; then continue; fi
    link_program "$work/memory" "$name" "${memory_cc[@]}" "${link[@]}"
    run_program "address,undefined $name" "$work/memory/$name.log" "$work/memory/$name"
    link_program "$work/thread" "$name" "${thread_cc[@]}" "${thread_link[@]}"
    run_program "thread $name" "$work/thread/$name.log" "$work/thread/$name"
done
close_report
