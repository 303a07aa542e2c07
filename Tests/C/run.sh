#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds csrc and every C test, and runs them.
#
#   Tests/C/run.sh [extra compiler flags]
#
# CC is the compiler (clang), CFLAGS replaces -O2, RUN is put before each program (an emulator).
set -u
cd "$(dirname "$0")/../.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
failed=0

# compile SOURCE OBJECT [flags]
compile() {
    local source=$1 object=$2
    shift 2
    # shellcheck disable=SC2086
    ${CC:-clang} -std=c11 -Wall -Wextra ${CFLAGS:--O2} "$@" -Icsrc -Icsrc/include -ITests/C \
        -c "$source" -o "$object"
}

# build_library FOLDER [flags]
build_library() {
    local folder=$build/$1 source
    shift
    mkdir -p "$folder"
    find csrc -name '*.c' -not -path 'csrc/cuda/*' -not -path 'csrc/mpi/*' | while read -r source; do
        compile "$source" "$folder/$(echo "$source" | tr / _).o" "$@" || exit 1
    done
}

# run_test FOLDER SOURCE [flags]
run_test() {
    local folder=$build/$1 source=$2
    shift 2
    echo "$source $*"
    # shellcheck disable=SC2086
    compile "$source" "$build/test.o" "$@" &&
        ${CC:-clang} ${CFLAGS:--O2} "$@" "$build/test.o" "$folder"/*.o -lm -lpthread \
            -o "$build/test" && ${RUN:-} "$build/test"
}

build_library plain "$@" || exit 1
for source in Tests/C/test_*.c; do
    run_test plain "$source" "$@" || failed=1
done

# The register tile of AVX-512, in builds that any machine runs.
build_library wide -DCAIRN_TEST_WIDE_TILES "$@" || exit 1
for source in Tests/C/test_matmul.c Tests/C/test_matmul_adapted.c; do
    run_test wide "$source" -DCAIRN_TEST_WIDE_TILES "$@" || failed=1
done

# The pairs of AVX512-BF16 too, and products cut into pieces of few rows.
pairs=(-DCAIRN_TEST_WIDE_TILES -DCAIRN_TEST_PAIRS -DCAIRN_TEST_SHORT_PIECES)
build_library pairs "${pairs[@]}" "$@" || exit 1
for source in Tests/C/test_matmul.c Tests/C/test_matmul_adapted.c; do
    run_test pairs "$source" "${pairs[@]}" "$@" || failed=1
done
exit $failed
