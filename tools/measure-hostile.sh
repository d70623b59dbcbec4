#!/usr/bin/env bash
# What bystanders feel while a server is attacked, for each attack of the load tool, as a table: their p99,
# what they lost, how much more memory the server held, and descriptors that it did not let go of. Exits with 1
# when something was lost or kept.
#
#     tools/measure-hostile.sh [CONNECTIONS-OF-EACH-ATTACK] [SECONDS-OF-EACH]
#
# WSS=1 does so over TLS. One shard, so that the tool has a core of its own on a machine of two.
set -euo pipefail
cd "$(dirname "$0")/.."

each=${1:-200}
seconds=${2:-5}
[ -n "${NO_BUILD-}" ] || cargo build --release --quiet --workspace --bins
binaries=${CARGO_TARGET_DIR:-target}/release
directory=$(mktemp -d)
log=$directory/log
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" && wait "$server" || true
        server=
    fi
}
trap 'stop; rm -rf "$directory"' EXIT

flags=()
trust=()
if [ -n "${WSS-}" ]; then
    flags=("--tls-self-signed=$directory/made")
    trust=(--insecure)
fi

failed=0
printf '| attack | p50 ms | p99 ms | lost | MiB more | descriptors left |\n|---|---|---|---|---|---|\n'
for attack in none garbage slow-head silent huge-head long-target giant-length unmasked reserved fragments pings \
    bad-utf8 half-open flood no-hello early unknown-tag broken-batch \
    cross-origin spoofed-proxy forged-token replay; do
    # Each attack has a server of its own.
    : >"$log"
    "$binaries/madang" serve --listen 127.0.0.1:0 --watch-listen 127.0.0.1:0 --shards 1 --set rooms.open= \
        --set play.grace_ms=1000 --log-level warn "${flags[@]}" >>"$log" 2>&1 &
    server=$!
    until grep -q '^raw' "$log"; do
        kill -0 "$server"
        sleep 0.05
    done
    case $attack in
    none) what=(--attack silent --each 1) ;;
    *) what=(--attack "$attack" --each "$each") ;;
    esac
    "$binaries/madang-load" hostile --url "$(sed -n 's|^play *\(.*\)/play$|\1|p' "$log")" "${trust[@]}" \
        "${what[@]}" --duration "$seconds" --bystanders 20 --pid "$server" --deadline 60s --settle 60s --json --quiet \
        >"$directory/found.json" || failed=1
    stop
    python3 - "$attack" "$directory/found.json" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[2]))
beside = found["bystanders"]
times = beside["latency"]
more = found["server_most"]["anonymous_mib"] - found["server_before"]["anonymous_mib"]
print(f"| {sys.argv[1]} | {times['p50_us'] / 1000:.2f} | {times['p99_us'] / 1000:.2f} "
      f"| {beside['expected'] - beside['received']} | {more:.1f} | {found['descriptors_left']} |")
PYTHON
done
exit "$failed"
