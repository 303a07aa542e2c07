#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Builds the programs of the documentation in a package of their own and runs them.
#
# usage: run.sh [--path-only]      --path-only leaves out the build by git dependency
# Needs swift, git and python3. Works in a temporary folder; CAIRN_INTEROP_WORK keeps it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
case "${1:-}" in
'' | --path-only) ;;
*)
    sed -n '5s/^# //p' "$0" >&2
    exit 2
    ;;
esac
work=${CAIRN_INTEROP_WORK:-$(mktemp -d)}
[ -n "${CAIRN_INTEROP_WORK:-}" ] || trap 'rm -rf "$work"' EXIT

passed=0
failed=0
check() { # check NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/last.log" 2>&1; then
        echo "pass: $name"
        passed=$((passed + 1))
    else
        echo "FAIL: $name"
        sed 's/^/    /' "$work/last.log" | tail -n 20
        failed=$((failed + 1))
    fi
}

# The kernels are optimized all the same; the rest of a debug build compiles in half the time.
build() { # build SCRATCH
    (cd "$work/programs" && swift build -Xcc -O2 --scratch-path "$1")
}
quiet() { # quiet LOG: no warning of the compiler in a build's log
    ! grep -E '\.(swift|c|h):[0-9]+:[0-9]+: (warning|error):' "$1"
}

check 'the article shows what is compiled' \
    python3 "$here/blocks.py" "$root/Sources/Cairn/Documentation.docc/UsingCairn.md" "$here/Sources"

mkdir -p "$work/programs"
cp -R "$here/Package.swift" "$here/Sources" "$work/programs/"
# The copy lies elsewhere: its path dependency leads to this checkout.
sed -i.bak "s|path: \"../../..\"|path: \"$root\"|" "$work/programs/Package.swift"
check 'a package builds by path' build "$work/by-path"
cp "$work/last.log" "$work/by-path.log"
check 'without a warning' quiet "$work/by-path.log"
bin=$work/by-path/debug

if [ "${1:-}" != --path-only ]; then
    # What a user would fetch: the commit and what the working tree changes, as a commit.
    git clone --quiet "$root" "$work/cairn"
    (cd "$root" && git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
        tar --null -T - -cf -) | (cd "$work/cairn" && git rm -r --quiet --cached . &&
        find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} + && tar -xf -)
    (cd "$work/cairn" && git add -A && git -c user.name=check -c user.email=check@localhost \
        commit --quiet --allow-empty -m 'The working tree')
    CAIRN_URL=file://$work/cairn
    CAIRN_REVISION=$(git -C "$work/cairn" rev-parse HEAD)
    export CAIRN_URL CAIRN_REVISION
    check 'a package builds by git' build "$work/by-git"
    unset CAIRN_URL CAIRN_REVISION
    bin=$work/by-git/debug
fi

shipped=$root/Sources/CairnCLI/Quickstart
# The first rows of each split; awk reads to the end, so that no pipe breaks.
awk -F '\t' 'BEGIN { most["train"] = 600; most["validation"] = most["test"] = 120 }
    NR == 1 || count[$1]++ < most[$1]' "$shipped/glosses.tsv" >"$work/glosses.tsv"
awk -F '\t' '$1 == "test" { print $3 }' "$work/glosses.tsv" >"$work/texts"

run() { # run LOG PROGRAM ARGUMENT...
    local log=$1
    shift
    "$bin/$@" >"$log" 2>&1 || { cat "$log"; return 1; }
}
fine_tune() { # fine_tune LOG OUTPUT
    run "$work/fine-tune.$1" FineTune "$shipped/base" "$work/glosses.tsv" "$work/$2"
}
has() { grep -Eq "$1" "$2" || { echo "expected '$1' in:"; cat "$2"; return 1; }; }

check 'FineTune trains' fine_tune 1 run
check 'and says how it ended' has '^completed after [0-9]+ steps$' "$work/fine-tune.1"
check 'and how good it is' has '^test accuracy 0\.[0-9]+$' "$work/fine-tune.1"
# Ended without a warning once there is a checkpoint, which is at the end of the first epoch.
killed() {
    local process
    "$bin/FineTune" "$shipped/base" "$work/glosses.tsv" "$work/killed" >"$work/killed.log" 2>&1 &
    process=$!
    while [ ! -e "$work/killed/best/manifest.json" ] && kill -0 "$process" 2>/dev/null; do
        sleep 0.05
    done
    kill -9 "$process" 2>/dev/null || true
    wait "$process" || true
    test -e "$work/killed/best/manifest.json"
}
check 'a run is killed after its first checkpoint' killed
check 'FineTune goes on with it' fine_tune 2 killed
state() { sed -n 's/^state //p' "$work/fine-tune.$1"; }
same_state() { [ -n "$(state 1)" ] && [ "$(state 1)" = "$(state 2)" ]; }
check 'and ends in the same state' same_state
check 'FineTune leaves a run alone that is over' fine_tune 2 run
check 'and says its state' same_state

check 'OwnModel trains' \
    run "$work/own-model" OwnModel "$shipped/glosses.tsv" "$work/own/best.safetensors"
better() { # six classes of equal size: chance is 0.17
    awk '/^validation accuracy/ { found = 1; exit !($3 > 0.5 && $3 <= 1) } END { exit !found }' \
        "$work/own-model" || { cat "$work/own-model"; return 1; }
}
check 'and learns' better
check 'and saves' test -s "$work/own/best.safetensors"

answers() { # answers NAME TEXTS: by line number
    "$bin/Server" "$work/run/best" <"$2" >"$work/raw.$1" && sort -n "$work/raw.$1" >"$work/answers.$1"
}
check 'Server answers every text' answers all "$work/texts"
complete() { [ "$(grep -c "$(printf '\t0\\.')" "$work/answers.all")" = "$(wc -l <"$work/texts" | tr -d ' ')" ]; }
check 'with a label and a probability' complete
alone() { # the same digits without company
    local line
    for line in 1 7 60; do
        sed -n "${line}p" "$work/texts" >"$work/text"
        answers alone "$work/text"
        diff <(cut -f 2- "$work/answers.alone") \
            <(sed -n "${line}p" "$work/answers.all" | cut -f 2-) || return 1
    done
}
check 'the same as of a text alone' alone
refuses() {
    printf '\na plant\n' >"$work/text"
    answers bad "$work/text"
    has '^1	error	.*no token' "$work/answers.bad" && has '^2	[a-z]+	0\.' "$work/answers.bad"
}
check 'an empty line is refused and the next one answered' refuses

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
