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
arm64_cc=(clang --target=$triple -isystem /usr/$triple/include -O2)
host_cc=(clang -O2)
compile_objects "$work/arm64" "${arm64_cc[@]}" && code=0 || code=$?
report 'csrc and Tests/C compile for arm64' "$code"
compile_objects "$work/host" "${host_cc[@]}" && code=0 || code=$?
report 'csrc and Tests/C compile for this machine' "$code"
if [ "$failed" -ne 0 ]; then
    close_report
    exit 1
fi

for name in $(programs); do
    link_program "$work/arm64" "$name" $triple-gcc -pthread -Wl,--no-as-needed -lm
    link_program "$work/host" "$name" clang -pthread -Wl,--no-as-needed -lm
    if [ "$name" != dump_bits ]; then
        run_program "arm64 $name" "$work/arm64/$name.log" \
            qemu-aarch64 -L /usr/$triple "$work/arm64/$name"
    fi
done

if [ -x "$work/host/dump_bits" ]; then
    code=0
    "$work/host/dump_bits" >"$work/host.bits" 2>"$work/host.err" || code=$?
    qemu-aarch64 -L /usr/$triple "$work/arm64/dump_bits" \
        >"$work/arm64.bits" 2>"$work/arm64.err" || code=$?
    if [ ! -s "$work/host.bits" ]; then code=65; fi
    if [ "$code" -eq 0 ]; then
        diff "$work/host.bits" "$work/arm64.bits" || code=$?
    else
        cat "$work/host.err" "$work/arm64.err"
    fi
    report "$(wc -l <"$work/host.bits") lines of result bits equal on $(uname -m) and arm64" "$code"
fi
close_report
