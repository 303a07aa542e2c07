#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Makes what `cairn quickstart` ships, from WordNet on, and compares it with what the repository holds.
#
# usage: run.sh                    rows, notice and tokenizer; changes nothing
#        run.sh --train CAIRN      trains the base too (some 20 minutes on two cores)
#        run.sh --train CAIRN --write      and replaces the repository's files
# WordNet is Debian's wordnet-base: /usr/share/wordnet, or else the package, unpacked in the cache.
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the environment between runs,
# CAIRN_INTEROP_WORK the work folder: a training that was stopped there goes on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
shipped=$(cd "$here/../../../Sources/CairnCLI/Quickstart" && pwd)
cache=${CAIRN_INTEROP_CACHE:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

cairn='' write=''
case "$*" in
    '') ;;
    '--train '*' --write') cairn=$2 write=1 ;;
    '--train '*) cairn=$2 ;;
    *) sed -n '5,7s/^# //p' "$0" >&2 && exit 2 ;;
esac

python=$cache/quickstart/bin/python
if ! "$python" -c 'import tokenizers; assert tokenizers.__version__ == "0.23.3"' 2>/dev/null; then
    rm -rf "$cache/quickstart"
    python3 -m venv "$cache/quickstart"
    "$python" -m pip install -q --disable-pip-version-check tokenizers==0.23.3
fi

wordnet=/
if [ ! -f /usr/share/wordnet/data.noun ]; then
    wordnet=$cache/wordnet
    if [ ! -f "$wordnet/usr/share/wordnet/data.noun" ]; then
        mkdir -p "$wordnet"
        (
            cd "$wordnet"
            apt-get download -qq wordnet-base 2>/dev/null ||
                { apt-get update -qq && apt-get download -qq wordnet-base; }
            dpkg-deb -x wordnet-base_*.deb .
        )
    fi
fi

work=${CAIRN_INTEROP_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
made=$work/made
"$python" "$here/make_quickstart.py" texts "$wordnet/usr/share/wordnet" \
    "$wordnet/usr/share/doc/wordnet-base/copyright" "$made" "$work"

files=(NOTICE glosses.tsv base/config.json base/tokenizer.json base/tokenizer_config.json)
if [ -n "$cairn" ]; then
    epochs=4
    if [ -d "$work/run/training" ]; then
        "$cairn" resume "$work/run"
    else
        "$cairn" finetune "$work/start" --task causal --init random --method full \
            --data "$work/glosses.tsv" -o "$work/run" --epochs $epochs --batch-size 64 \
            --learning-rate 3e-3 --warmup 0.02 --weight-decay 0.1 --decay-scope matrices \
            --precision bf16 --max-length 96 --save-every 1 --seed 42
    fi
    "$python" "$here/make_quickstart.py" weights "$work/run/epoch-$epochs" "$made"
    files+=(base/model.safetensors)
fi
if [ -n "$write" ]; then
    for file in "${files[@]}"; do cp "$made/$file" "$shipped/$file"; done
fi

passed=0 failed=0
check() {
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
for file in "${files[@]}"; do check cmp "$made/$file" "$shipped/$file"; done
check test "$(stat -c %s "$shipped/base/model.safetensors")" -le 4000000
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
