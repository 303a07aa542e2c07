#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ruby's Marshal and ours: 500 random payloads each way, mlx-ruby's checkpoints, and refusals.
#
# usage: run.sh
# CAIRN names the executable; without it, the release build of this package is made and used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

if ! command -v ruby >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ruby >/dev/null
fi
cairn=${CAIRN:-}
if [ -z "$cairn" ]; then
  swift build -c release --package-path "$root" --product cairn
  cairn=$(swift build -c release --package-path "$root" --show-bin-path)/cairn
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ruby --version
LANG=C.UTF-8 ruby -W0 "$here/check.rb" "$cairn" "$work"
