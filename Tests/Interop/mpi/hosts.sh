#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
## The sum of gradients over up to 64 hosts: network namespaces with links of a given rate.
#
# usage: hosts.sh BENCH [--rate MBIT] [--ranks "2 4 8 16 32 64"] [--bytes N,...]
# BENCH is a release build of cairn-bench with CAIRN_MPI=mpich. Every namespace is a host of its own
# to MPICH, which reaches it by way of `ip netns exec` instead of ssh and speaks TCP over its one
# link to a bridge. Both ends of a link are shaped, so that it has the rate each way. Needs root,
# iproute2 and mpich; removes what it made.
set -euo pipefail
bench=$(readlink -f "${1:?usage: hosts.sh BENCH [--rate MBIT] [--ranks LIST] [--bytes N,...]}")
shift
rate=100
counts="2 4 8 16 32 64"
bytes=262144,2097152
while [ $# -gt 0 ]; do
    case $1 in
        --rate) rate=$2 ;;
        --ranks) counts=$2 ;;
        --bytes) bytes=$2 ;;
        *)
            echo "hosts.sh: '$1' is no flag" >&2
            exit 2
            ;;
    esac
    shift 2
done

most=0
for count in $counts; do [ "$count" -le "$most" ] || most=$count; done
made=0
neighbours=
launcher=$(mktemp)
clean() {
    for ((host = 1; host <= made; host++)); do
        # A rank whose launcher was stopped spins for its fellows without end.
        ip netns pids "cairn-$host" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del "cairn-$host" 2>/dev/null || true
    done
    ip link del cairn-bridge 2>/dev/null || true
    [ -z "$neighbours" ] || sysctl -q -w "net.ipv4.neigh.default.gc_thresh3=$neighbours" || true
    rm -f "$launcher"
}
trap clean EXIT
if ! ip netns add cairn-1 2>/dev/null; then
    echo "hosts.sh: this machine permits no network namespaces" >&2
    exit 77
fi
made=1

# What MPICH calls in place of ssh: [-x] HOST COMMAND...
cat >"$launcher" <<'SCRIPT'
#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=$1
shift
exec ip netns exec "cairn-${host##*.}" /bin/sh -c "$*"
SCRIPT
chmod +x "$launcher"

# The table of neighbours is one for all namespaces, and each host has all others in it.
if [ $((most * most)) -gt "$(sysctl -n net.ipv4.neigh.default.gc_thresh3)" ]; then
    neighbours=$(sysctl -n net.ipv4.neigh.default.gc_thresh3)
    sysctl -q -w "net.ipv4.neigh.default.gc_thresh3=$((2 * most * most))"
fi

ip link add cairn-bridge type bridge
ip addr add 10.77.0.254/24 dev cairn-bridge
ip link set cairn-bridge up
hosts=
for ((host = 1; host <= most; host++)); do
    [ "$host" -eq 1 ] || ip netns add "cairn-$host"
    made=$host
    ip link add "cairn-v$host" type veth peer name eth0 netns "cairn-$host"
    ip link set "cairn-v$host" master cairn-bridge up
    ip -n "cairn-$host" addr add "10.77.0.$host/24" dev eth0
    ip -n "cairn-$host" link set eth0 up
    ip -n "cairn-$host" link set lo up
    shape=(root tbf rate "${rate}mbit" burst 32kb latency 400ms)
    tc qdisc add dev "cairn-v$host" "${shape[@]}"
    ip netns exec "cairn-$host" tc qdisc add dev eth0 "${shape[@]}"
    hosts+=${hosts:+,}10.77.0.$host
done

echo "links of $rate Mbit/s each way"
export UCX_TLS=tcp,self UCX_NET_DEVICES=eth0
for count in $counts; do
    timeout 600 mpirun.mpich -launcher ssh -launcher-exec "$launcher" -localhost 10.77.0.254 \
        -hosts "$(cut -d, -f"1-$count" <<<"$hosts")" -n "$count" -ppn 1 \
        "$bench" ranks --bytes "$bytes" --threads 1
done
