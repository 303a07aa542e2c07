#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Every public symbol is documented, and the book builds without a warning.
#
# usage: run.sh [SCRATCH]      SCRATCH is a build folder to use; a debug build is made there
# Needs python3, and docc where the toolchain has it. Planted faults are seen first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cd "$root"
scratch=${1:-.build}
work=${CAIRN_INTEROP_WORK:-$(mktemp -d)}
[ -n "${CAIRN_INTEROP_WORK:-}" ] || trap 'rm -rf "$work"' EXIT
# A tool of the toolchain that swift is of; macOS finds it by xcrun, and needs to be told the SDK.
tool() {
    xcrun --find "$1" 2>/dev/null || echo "$(dirname "$(readlink -f "$(command -v swift)")")/$1"
}
sdk=()
! command -v xcrun >/dev/null || sdk=(-sdk "$(xcrun --show-sdk-path)")
docc=$(tool docc)
modules='CairnTensor CairnEngine CairnGraph CairnFormats CairnText CairnModels CairnTraining CairnHub'

# shellcheck disable=SC2086
swift build ${CAIRN_BUILD_FLAGS:-} --scratch-path "$scratch" --target Cairn
products=$(swift build ${CAIRN_BUILD_FLAGS:-} --scratch-path "$scratch" --show-bin-path)

graph() { # graph MODULE FOLDER ARGUMENT...
    local module=$1 folder=$2 target
    shift 2
    target=$(swift -print-target-info | python3 -c \
        'import json, sys; print(json.load(sys.stdin)["target"]["triple"])')
    mkdir -p "$folder"
    "$(tool swift-symbolgraph-extract)" -module-name "$module" -target "$target" \
        ${sdk[@]+"${sdk[@]}"} \
        -I "$products/Modules" -I csrc/digest/include -I csrc/include -I csrc/zlib \
        -minimum-access-level public -skip-synthesized-members -output-dir "$folder" "$@"
}

failed=0
for module in $modules; do graph "$module" "$work/modules"; done

# The search for gaps sees one: a symbol that loses its documentation.
mkdir "$work/planted"
python3 - "$work" <<'PYTHON'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
name = "CairnTensor.symbols.json"
graph = json.loads((work / "modules" / name).read_text())
symbol = next(s for s in graph["symbols"] if s["names"]["title"] == "Tensor")
del symbol["docComment"]
(work / "planted" / name).write_text(json.dumps(graph))
PYTHON
if python3 "$here/undocumented.py" "$work/planted" "$root" >"$work/planted.log" ||
    ! grep -q ' CairnTensor Tensor$' "$work/planted.log"; then
    echo 'a symbol without documentation was not seen'
    failed=1
fi
python3 "$here/undocumented.py" "$work/modules" "$root" || failed=1

if [ ! -x "$docc" ]; then
    echo 'docc is not in this toolchain: the book was not built'
    exit "$failed"
fi
# The umbrella re-exports all modules: one book, in which symbols are linked by their names.
graph Cairn "$work/umbrella" "-experimental-allowed-reexported-modules=${modules// /,}"
convert() { # convert BOOK OUTPUT
    "$docc" convert "$1" --additional-symbol-graph-dir "$work/umbrella" \
        --fallback-display-name Cairn --fallback-bundle-identifier cairn \
        --output-path "$2" --warnings-as-errors
}
cp -R Sources/Cairn/Documentation.docc "$work/Planted.docc"
# shellcheck disable=SC2016
printf '\nSee ``NoSuchSymbol``.\n' >>"$work/Planted.docc/Numerics.md"
if convert "$work/Planted.docc" "$work/planted-book" >"$work/planted.log" 2>&1 ||
    ! grep -q NoSuchSymbol "$work/planted.log"; then
    echo 'a dead link was not seen'
    failed=1
fi
convert Sources/Cairn/Documentation.docc "$work/book" || failed=1
[ "$failed" -eq 0 ] && echo 'the book builds without a warning'
exit "$failed"
