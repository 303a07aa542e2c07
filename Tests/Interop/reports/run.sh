#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares figures with scikit-learn, reads event files with TensorBoard, looks at report.html.
#
# usage: run.sh [--browser] [--keep DIR]
#   --browser     also loads every report in Chromium (CHROMIUM, or from apt: 400 MB)
#   --keep DIR    leaves the browser's pictures in DIR
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the environment between runs.
# CAIRN_REPORTS_TEST is the command that runs the Swift side; without it, this package's own tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cache=${CAIRN_INTEROP_CACHE:-$here/../.cache}

browser= keep=()
while [ $# -gt 0 ]; do
    case $1 in
    --browser) browser=${CHROMIUM:-chromium}; shift ;;
    --keep) keep=(--keep "${2:?--keep needs a directory}"); shift 2 ;;
    *)
        sed -n '5,9s/^# //p' "$0" >&2
        exit 2
        ;;
    esac
done

python=$cache/reports/bin/python
versions='from importlib.metadata import version as v
names = "scikit-learn", "numpy", "tensorboard", "html5lib", "pillow"'
wanted="scikit-learn==1.9.1 tensorboard==2.21.0 html5lib==1.1 pillow"
if ! "$python" -c "$versions
assert [v(n) for n in names if n not in ('numpy', 'pillow')] == ['1.9.1', '2.21.0', '1.1']" 2>/dev/null; then
    rm -rf "$cache/reports"
    mkdir -p "$cache"
    python3 -m venv "$cache/reports"
    "$python" -m pip install -q --disable-pip-version-check $wanted
fi
"$python" -c "$versions
print(', '.join(f'{name} {v(name)}' for name in names))"
if [ -n "$browser" ]; then
    if ! command -v "$browser" >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
    fi
    "$browser" --version 2>/dev/null
fi

export CAIRN_REPORTS_EXCHANGE PYTHONDONTWRITEBYTECODE=1
CAIRN_REPORTS_EXCHANGE=$(mktemp -d)
trap 'rm -rf "$CAIRN_REPORTS_EXCHANGE"' EXIT
exchange=$CAIRN_REPORTS_EXCHANGE

"$python" "$here/metrics.py" cases "$exchange"
swift=${CAIRN_REPORTS_TEST:-swift test --package-path $root --filter ExchangeTests}
$swift >"$exchange/swift.log" 2>&1 || {
    tail -n 40 "$exchange/swift.log" >&2
    echo "0 passed, 1 failed"
    exit 1
}

passed=0 failed=0
check() {
    local out=$exchange/check.log
    "$python" "$@" 2>"$exchange/errors.log" | tee "$out" || true
    local last
    last=$(tail -n 1 "$out" | sed -n 's/^[a-z]*: \([0-9]* passed, [0-9]* failed\)$/\1/p')
    if [ -z "$last" ]; then  # it ended before its last line
        tail -n 20 "$exchange/errors.log" >&2
        last="0 passed, 1 failed"
    fi
    passed=$((passed + ${last%% *}))
    last=${last#*, }
    failed=$((failed + ${last%% *}))
}
check "$here/metrics.py" check "$exchange"
check "$here/tensorboard_events.py" "$exchange"
check "$here/pages.py" "$exchange" ${browser:+--browser "$browser"} "${keep[@]}"
echo "$passed passed, $failed failed"
[ "$passed" -gt 0 ] && [ "$failed" = 0 ]
