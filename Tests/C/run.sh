#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds every C test with all of csrc and runs it.
#
#   Tests/C/run.sh [extra compiler flags]
#
# CC is the compiler (clang), CFLAGS replaces -O2, RUN is put before each program (an emulator).
set -u
cd "$(dirname "$0")/../.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
failed=0

# build_and_run SOURCE [flags]
build_and_run() {
    local source=$1 program
    shift
    program=$build/$(basename "$source" .c)
    echo "$source $*"
    # shellcheck disable=SC2046,SC2086
    ${CC:-clang} -std=c11 -Wall -Wextra ${CFLAGS:--O2} "$@" -Icsrc -Icsrc/include -ITests/C \
        $(find csrc -name '*.c' -not -path 'csrc/cuda/*' -not -path 'csrc/mpi/*') \
        "$source" -lm -lpthread -o "$program" && ${RUN:-} "$program"
}

for source in Tests/C/test_*.c Tests/C/dump_bits.c; do
    build_and_run "$source" "$@" || failed=1
done
# The register tile of AVX-512, in builds that any machine runs.
build_and_run Tests/C/test_matmul.c -DCAIRN_TEST_WIDE_TILES "$@" || failed=1
exit $failed
