# SPDX-License-Identifier: Apache-2.0
## Shell functions that make the two Python environments of the suites: transformers and PEFT.
#
# CAIRN_INTEROP_CACHE (default Tests/Interop/.cache) keeps them between runs.

cache=${CAIRN_INTEROP_CACHE:-$(dirname "${BASH_SOURCE[0]}")/../.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

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

## Makes what is missing of $cache/stack5 (transformers 5) and $cache/stack4 (transformers 4).
prepare_stacks() {
    matches "$cache/stack5" "${stack5[@]}" || make_stack5
    matches "$cache/stack4" "${stack4[@]}" "${stack4_over_torch[@]}" torch==2.13.0 || make_stack4
}
