# SPDX-License-Identifier: Apache-2.0
## Shell functions that build and run the C tests with a given compiler.
#
# A test is Tests/C/test_*.c: a program that links with all of csrc, prints "N passed, N failed"
# and exits with 0. Any other Tests/C/*.c is shared by all programs. csrc/cuda and csrc/mpi need
# libraries of their own and are left out, as in a plain build.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
c_flags=(-std=c11 -D_GNU_SOURCE -Wall -I"$root/csrc" -I"$root/csrc/include" -I"$root/Tests/C")
passed=0
failed=0

c_sources() {
    find "$root/csrc" -name '*.c' -not -path '*/csrc/cuda/*' -not -path '*/csrc/mpi/*' | sort
    if [ -d "$root/Tests/C" ]; then find "$root/Tests/C" -name '*.c' | sort; fi
}

object_of() { printf '%s.o' "${1#"$root"/}" | tr '/' '_'; }

## compile_objects DIR COMPILER FLAGS...: every C file into DIR/<path with _ for />.o.
compile_objects() {
    local dir=$1 source
    shift
    mkdir -p "$dir"
    c_sources | while IFS= read -r source; do
        printf '%s\0%s\0' "$source" "$dir/$(object_of "$source")"
    done | CC_COMMAND="$(printf '%q ' "$@" "${c_flags[@]}")" \
        xargs -0 -P "${JOBS:-2}" -n 2 bash -c 'eval "$CC_COMMAND" -c \"\$0\" -o \"\$1\"' 2>&1
}

## The programs in Tests/C, by name without the ending.
programs() {
    local source
    for source in "$root"/Tests/C/test_*.c; do
        if [ -f "$source" ]; then basename "$source" .c; fi
    done
}

## link_program DIR NAME LINKER FLAGS...: DIR/NAME from its own object and everything shared.
link_program() {
    local dir=$1 name=$2 object objects=()
    shift 2
    for object in "$dir"/*.o; do
        case $(basename "$object") in
        Tests_C_"$name".c.o) objects+=("$object") ;;
        Tests_C_test_*.c.o) ;;
        *) objects+=("$object") ;;
        esac
    done
    "$@" "${objects[@]}" -o "$dir/$name"
}

## report NAME CODE: counts one check, passed when CODE is 0.
report() {
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s (exit code %s)\n' "$1" "$2"
    fi
}

## run_program LABEL LOG COMMAND...: passes with exit code 0 and a closing line of its own.
run_program() {
    local label=$1 log=$2 code=0 line
    shift 2
    timeout "${TEST_SECONDS:-900}" "$@" >"$log" 2>&1 || code=$?
    line=$(grep -aE "^[0-9]+ passed, [0-9]+ failed" "$log" | tail -1 || true)
    if [ "$code" -eq 0 ] && [ -z "$line" ]; then
        code=65
        line='no closing line "N passed, N failed"'
    fi
    report "$label: ${line:-no closing line}" "$code"
    if [ "$code" -ne 0 ]; then tail -n 40 "$log"; fi
}

## The closing line; fails when anything failed or when nothing ran.
close_report() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
