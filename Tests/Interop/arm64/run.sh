#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Runs the C tests as arm64 programs under emulation and compares result bits with this machine's.
#
# usage: run.sh [WORKDIR]     (WORKDIR keeps objects and logs; a temporary folder when absent)
# Needs clang; installs qemu-user, a cross linker and the arm64 C library by apt where missing.
set -euo pipefail
source "$(cd "$(dirname "$0")/.." && pwd)/support/c_tests.sh"

work=${1:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
triple=aarch64-linux-gnu

have_tools() {
    command -v qemu-aarch64 >/dev/null && command -v $triple-gcc >/dev/null &&
        [ -f /usr/$triple/include/stdio.h ]
}

if ! have_tools; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
        qemu-user gcc-$triple libc6-dev-arm64-cross
fi

# clang compiles (the compiler under test), the cross gcc only links: it knows where its libgcc is.
libraries=(-pthread -Wl,--no-as-needed -lm)
arm64_cc=(clang --target=$triple -isystem /usr/$triple/include -O2)
emulate=(qemu-aarch64 -L /usr/$triple)
compile_objects "$work/arm64" "${arm64_cc[@]}" && code=0 || code=$?
report 'csrc and Tests/C compile for arm64' "$code"
compile_objects "$work/host" clang -O2 && code=0 || code=$?
report "csrc and Tests/C compile for $(uname -m)" "$code"
compile_objects "$work/debug" clang -O0 && code=0 || code=$?
report "csrc and Tests/C compile for $(uname -m) without optimization" "$code"
if [ "$failed" -ne 0 ]; then
    close_report
    exit 1
fi

# link_dump DIR LINKER...: the program that prints a hash of the bits of every operation.
link_dump() {
    local dir=$1
    shift
    "$@" "$dir"/csrc_*.o "$dir.dump.o" "${libraries[@]}" -o "$dir/dump_bits"
}
here=$root/Tests/Interop/arm64
"${arm64_cc[@]}" "${c_flags[@]}" -c "$here/dump_bits.c" -o "$work/arm64.dump.o"
clang -O2 "${c_flags[@]}" -c "$here/dump_bits.c" -o "$work/host.dump.o"
cp "$work/host.dump.o" "$work/debug.dump.o"
link_dump "$work/arm64" $triple-gcc
link_dump "$work/host" clang
link_dump "$work/debug" clang

"$work/host/dump_bits" best 1 >"$work/reference.bits" && code=0 || code=$?
report "$(wc -l <"$work/reference.bits") operations give results on $(uname -m)" "$code"

# same_bits LABEL COMMAND...: prints the operations whose bits differ from the reference.
same_bits() {
    local label=$1 code=0
    shift
    "$@" >"$work/other.bits" || code=$?
    if [ "$code" -eq 0 ]; then diff "$work/reference.bits" "$work/other.bits" || code=$?; fi
    report "equal bits: $label" "$code"
}
same_bits "$(uname -m), scalar, 3 threads" "$work/host/dump_bits" scalar 3
same_bits "$(uname -m), best, 2 threads, unoptimized" "$work/debug/dump_bits" best 2
same_bits 'arm64, NEON, 1 thread' "${emulate[@]}" "$work/arm64/dump_bits" best 1
same_bits 'arm64, NEON, 3 threads' "${emulate[@]}" "$work/arm64/dump_bits" best 3
same_bits 'arm64, scalar, 2 threads' "${emulate[@]}" "$work/arm64/dump_bits" scalar 2

for name in $(programs); do
    link_program "$work/arm64" "$name" $triple-gcc "${libraries[@]}"
    run_program "arm64 $name" "$work/arm64/$name.log" "${emulate[@]}" "$work/arm64/$name"
done
close_report
