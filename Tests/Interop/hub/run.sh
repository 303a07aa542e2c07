#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Publishes to and pulls from a strict loopback Hub, beside the real huggingface_hub.
#
# usage: run.sh CAIRN [--only WORD]      CAIRN is a binary of either configuration
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the environments between runs. Where it
# holds the stack5 of the hf suite (or CAIRN_TRANSFORMERS names such a python), transformers loads
# what was published, by id.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${CAIRN_INTEROP_CACHE:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
if [ $# -lt 1 ] || [ ! -x "$1" ]; then
    sed -n '5p' "$0" | sed 's/^# //' >&2
    exit 2
fi
versions=(2.4.0 0.36.0)

clients=()
for version in "${versions[@]}"; do
    venv=$cache/hub-$version
    if ! "$venv/bin/python" -c "import huggingface_hub as h; assert h.__version__ == '$version'" \
        2>/dev/null; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check \
            "huggingface_hub==$version"
    fi
    clients+=("$version=$venv/bin/python")
done

transformers=${CAIRN_TRANSFORMERS:-$cache/stack5/bin/python}
options=()
if [ -x "$transformers" ]; then
    options=(--transformers "$transformers")
    "$transformers" -c 'import transformers as t; print("transformers", t.__version__)'
else
    echo "transformers: not in $cache, so nothing is loaded by id"
fi
echo "huggingface_hub ${versions[*]}; $(python3 --version)"
"$1" --version

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
options+=("${@:2}")
timeout 2400 python3 -u "$here/check.py" "$1" "$work" "${clients[@]}" ${options[@]+"${options[@]}"}
