#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares figures with scikit-learn.
#
# usage: run.sh
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the environment between runs.
# CAIRN_REPORTS_TEST is the command that runs the Swift side; without it, this package's own tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cache=${CAIRN_INTEROP_CACHE:-$here/../.cache}

if [ $# -gt 0 ]; then
    sed -n '5,7s/^# //p' "$0" >&2
    exit 2
fi

python=$cache/reports/bin/python
if ! "$python" -c 'from importlib.metadata import version as v
assert v("scikit-learn") == "1.9.1"' 2>/dev/null; then
    rm -rf "$cache/reports"
    mkdir -p "$cache"
    python3 -m venv "$cache/reports"
    "$python" -m pip install -q --disable-pip-version-check scikit-learn==1.9.1
fi
"$python" -c 'from importlib.metadata import version as v
print(", ".join(f"{name} {v(name)}" for name in ("scikit-learn", "numpy")))'

export CAIRN_REPORTS_EXCHANGE PYTHONDONTWRITEBYTECODE=1
CAIRN_REPORTS_EXCHANGE=$(mktemp -d)
trap 'rm -rf "$CAIRN_REPORTS_EXCHANGE"' EXIT

"$python" "$here/metrics.py" cases "$CAIRN_REPORTS_EXCHANGE"
swift=${CAIRN_REPORTS_TEST:-swift test --package-path $root --filter ExchangeTests}
$swift >"$CAIRN_REPORTS_EXCHANGE/swift.log" 2>&1 || {
    tail -n 40 "$CAIRN_REPORTS_EXCHANGE/swift.log" >&2
    echo "0 passed, 1 failed"
    exit 1
}
"$python" "$here/metrics.py" check "$CAIRN_REPORTS_EXCHANGE"
