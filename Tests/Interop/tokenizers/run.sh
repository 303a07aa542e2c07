#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares the tokenizer with the Python package `tokenizers`, which must agree on every text.
#
# usage: run.sh [--models DIR] [--corpora DIR] [--fuzz N]
#   --models DIR    also compares every tokenizer.json below DIR
#   --corpora DIR   also takes the texts of every .tsv and .tsv.gz in DIR (for the models)
#   --fuzz N        random texts per tokenizer (2000)
# CAIRN names the executable; without it, the release build of this package is made and used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cache=$root/Tests/Interop/.cache/tokenizers
fixtures=$root/Tests/CairnTextTests/Fixtures
golden=$root/Tests/Fixtures/golden
models= corpora=() fuzz=2000
while [ $# -gt 0 ]; do
  case $1 in
    --models) models=${2:?--models needs a directory}; shift 2;;
    --corpora) for file in "${2:?--corpora needs a directory}"/*.tsv*; do corpora+=(--corpus "$file"); done; shift 2;;
    --fuzz) fuzz=${2:?--fuzz needs a number}; shift 2;;
    *) echo "unknown argument: $1" >&2; exit 2;;
  esac
done

python=$cache/venv/bin/python
if ! "$python" -c 'import tokenizers; assert tokenizers.__version__ == "0.23.3"' 2>/dev/null; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install -q tokenizers==0.23.3
fi
cairn=${CAIRN:-}
if [ -z "$cairn" ]; then
  swift build -c release --package-path "$root" --product cairn
  cairn=$(swift build -c release --package-path "$root" --show-bin-path)/cairn
fi

rm -rf "$cache/specs"
"$python" "$fixtures/make_fixtures.py" --specs "$cache/specs"
status=0
"$python" "$here/compare.py" --cairn "$cairn" --fuzz "$fuzz" --golden "$golden" \
  "$cache"/specs/*.json "$golden"/models/*/tokenizer.json || status=1
if [ -n "$models" ]; then
  mapfile -t files < <(find -L "$models" -name tokenizer.json | sort)
  "$python" "$here/compare.py" --cairn "$cairn" --fuzz "$fuzz" --seed 2 --golden "$golden" \
    "${corpora[@]}" "${files[@]}" || status=1
fi
exit $status
