#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Writes what `cairn quickstart` trains on, and compares it with what the repository holds.
#
# usage: run.sh GLOSSES.tsv.gz LICENCE.txt           compares; changes nothing
#        run.sh GLOSSES.tsv.gz LICENCE.txt --write   replaces the repository's files
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the environment between runs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
shipped=$(cd "$here/../../../Sources/CairnCLI/Quickstart" && pwd)
cache=${CAIRN_INTEROP_CACHE:-$here/../.cache}

if [ $# -lt 2 ] || [ $# -gt 3 ] || [ "${3:---write}" != --write ]; then
    sed -n '5,6s/^# //p' "$0" >&2
    exit 2
fi

python=$cache/quickstart/bin/python
if ! "$python" -c 'import tokenizers; assert tokenizers.__version__ == "0.23.3"' 2>/dev/null; then
    rm -rf "$cache/quickstart"
    mkdir -p "$cache"
    python3 -m venv "$cache/quickstart"
    "$python" -m pip install -q --disable-pip-version-check tokenizers==0.23.3
fi

if [ "${3:-}" = --write ]; then
    "$python" "$here/make_quickstart.py" "$1" "$2" "$shipped"
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" "$here/make_quickstart.py" "$1" "$2" "$work"
passed=0 failed=0
for file in NOTICE glosses.tsv base/config.json base/model.safetensors base/tokenizer.json \
    base/tokenizer_config.json; do
    if cmp "$work/$file" "$shipped/$file"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
