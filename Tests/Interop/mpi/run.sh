#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## Trains on 1 to 4 ranks of Open MPI and of MPICH: equal bits, resume, signals, killed ranks.
#
# usage: run.sh [CAIRN] [--kills N] [--speed] [--release] [--only openmpi|mpich] [--seed N]
# CAIRN is a build without MPI (default: the release build of this checkout). 6 kills per MPI unless
# told. Each MPI's build goes to .build-mpi-NAME, a debug build with optimized kernels unless
# --release or --speed asks for more. Needs python3; installs both MPIs with apt where they are missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cd "$root"
plain=
if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then
    plain=$1
    shift
fi
flavour=(-Xcc -O2)
only=
for ((place = 1; place <= $#; place++)); do
    case ${!place} in
        --release | --speed) flavour=(-c release) ;;
        --only)
            place=$((place + 1))
            only=${!place}
            ;;
    esac
done

packages=()
command -v mpirun.openmpi >/dev/null || packages+=(openmpi-bin)
pkg-config --exists ompi-c || packages+=(libopenmpi-dev)
command -v mpirun.mpich >/dev/null || packages+=(mpich)
pkg-config --exists mpich || packages+=(libmpich-dev)
command -v pkg-config >/dev/null || packages+=(pkg-config)
if [ "${#packages[@]}" -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${packages[@]}" >/dev/null
fi

if [ -z "$plain" ]; then
    swift build -c release --product cairn
    plain=$(swift build -c release --show-bin-path)/cairn
fi
builds=()
for name in openmpi mpich; do
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    module=$name
    [ "$name" = mpich ] || module=ompi-c
    echo "-- $name $(pkg-config --modversion "$module"): build"
    log=$(mktemp)
    arguments=("${flavour[@]}" --scratch-path ".build-mpi-$name" --product cairn)
    if ! CAIRN_MPI=$module swift build "${arguments[@]}" >"$log" 2>&1; then
        cat "$log"
        exit 1
    fi
    # SwiftPM drops the linker flags that a distribution hardens its own packages with, and says so.
    if grep -E '(warning|error):' "$log" | grep -v 'prohibited flag' | sort -u; then exit 1; fi
    rm -f "$log"
    folder=$(CAIRN_MPI=$module swift build "${flavour[@]}" --scratch-path ".build-mpi-$name" \
        --show-bin-path)
    builds+=(--build "$name=$folder/cairn")
done
python3 "$here/check.py" "$root" "$plain" "${builds[@]}" "$@"
