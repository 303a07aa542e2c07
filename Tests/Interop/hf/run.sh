#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Opens what `cairn` writes with the real transformers and PEFT, two generations of each.
#
# usage: run.sh CAIRN [--quick] [--only TEXT] [--no-merge]   CAIRN is the release binary
#        run.sh --selftest                      the checker itself, on directories that PEFT wrote
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps the two environments between runs;
# CAIRN_INTEROP_WORK keeps the work folder for a look afterwards.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${CAIRN_INTEROP_CACHE:-$here/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

usage() {
    sed -n '5,6s/^# //p' "$0" >&2
    exit 2
}
[ $# -ge 1 ] || usage
mode=tool
if [ "$1" = --selftest ]; then mode=selftest; fi
if [ "$mode" = tool ] && [ ! -x "$1" ]; then
    echo "run.sh: $1 is not an executable" >&2
    usage
fi

stack5=(torch==2.13.0 numpy==2.4.6 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    tokenizers==0.23.3 huggingface_hub==2.4.0 accelerate==1.15.0)
stack4=(transformers==4.57.1 safetensors==0.6.2 tokenizers==0.22.1 huggingface_hub==0.36.0
    numpy==2.4.6 psutil)
stack4_over_torch=(peft==0.17.1 accelerate==1.10.1) # these ask for torch, which is borrowed

# matches VENV REQUIREMENT...: the environment exists and holds exactly these versions.
matches() {
    local venv=$1
    shift
    [ -x "$venv/bin/python" ] && "$venv/bin/python" - "$@" <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, version
for requirement in sys.argv[1:]:
    name, _, wanted = requirement.partition("==")
    try:
        found = version(name)
    except PackageNotFoundError:
        sys.exit(1)
    if wanted and found.split("+")[0] != wanted:
        sys.exit(1)
PYTHON
}

# The CPU build of torch where the index offers one, else the default build.
make_stack5() {
    rm -rf "$cache/stack5"
    python3 -m venv "$cache/stack5"
    local pip=("$cache/stack5/bin/python" -m pip install -q --disable-pip-version-check)
    "${pip[@]}" "torch==2.13.0+cpu" || "${pip[@]}" "torch==2.13.0"
    "${pip[@]}" "${stack5[@]:1}"
}

# The older stack borrows torch: a second copy would double the download.
make_stack4() {
    rm -rf "$cache/stack4"
    python3 -m venv "$cache/stack4"
    local pip=("$cache/stack4/bin/python" -m pip install -q --disable-pip-version-check)
    "${pip[@]}" "${stack4[@]}"
    "${pip[@]}" --no-deps "${stack4_over_torch[@]}"
    local site='import sysconfig; print(sysconfig.get_paths()["purelib"])'
    "$cache/stack5/bin/python" -c "$site" \
        >"$("$cache/stack4/bin/python" -c "$site")/zz_torch.pth"
}

matches "$cache/stack5" "${stack5[@]}" || make_stack5
matches "$cache/stack4" "${stack4[@]}" "${stack4_over_torch[@]}" torch==2.13.0 || make_stack4

work=${CAIRN_INTEROP_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore

"$cache/stack5/bin/python" "$here/make_bases.py" "$work"
if [ "$mode" = selftest ]; then
    "$cache/stack5/bin/python" "$here/selftest.py" "$work"
else
    python3 "$here/drive.py" "$work" "$@"
fi
"$cache/stack5/bin/python" "$here/check.py" "$work" tf5
"$cache/stack4/bin/python" "$here/check.py" "$work" tf4
if [ "$mode" = selftest ]; then
    python3 "$here/selftest.py" "$work" --judge
else
    python3 "$here/tally.py" "$work" tf5 tf4
fi
