#!/usr/bin/env bash
# What an audience costs the players: the same players first without spectators, then with them, on
# a fresh server each, server and load on whatever cores there are. Exits with 1 when something was
# lost, repeated or out of order, for players or spectators.
# 20,000 descriptors suffice for the default.
# tools/measure-audience.sh [SPECTATORS [PLAYERS [SECONDS]]]
set -euo pipefail
cd "$(dirname "$0")/.."

spectators=${1:-10000}
players=${2:-500}
seconds=${3:-20}
ulimit -n "$(ulimit -H -n)"

cargo build --release --quiet --workspace --bins
binaries=${CARGO_TARGET_DIR:-target}/release
log=$(mktemp)
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" && wait "$server" || true
        server=
    fi
}
trap 'stop; rm -f "$log"' EXIT

# Each run has a server of its own, so that memory and counts are the run's.
measure() {
    # Before the server starts: what the last one said must not be taken for its words.
    : >"$log"
    "$binaries/madang" serve --listen 127.0.0.1:0 --watch-listen 127.0.0.1:0 --shards 1 \
        --set rooms.open= --log-level warn --set "watch.connections_max=$((spectators + 100))" \
        --set "play.connections_max=$((players + 100))" >>"$log" &
    server=$!
    until grep -q '^raw' "$log"; do
        kill -0 "$server"
        sleep 0.05
    done
    "$binaries/madang-load" spectate \
        --url "$(sed -n 's|^play *\(.*\)/play$|\1|p' "$log")" \
        --events-url "$(sed -n 's|^demo *\(.*\)/$|\1|p' "$log")" \
        --players "$players" --rooms-of 10 --hz 20 --events-hz 20 --events-payload 200 \
        --duration "$seconds" --warmup 3 --drain 20 --pid "$server" "$@" || failed=1
    stop
}

failed=0
measure --spectators 0
measure --spectators "$spectators"
exit "$failed"
