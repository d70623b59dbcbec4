#!/usr/bin/env bash
# How much user memory an idle connection costs the server, against the bounds that the project
# keeps: 0.6 KiB for a raw connection, 1 KiB for a native session in a room. Exits with 1 when a
# bound is broken or a connection died. Needs 20,000 descriptors for the default of 19,000
# connections: tools/measure-idle.sh [CONNECTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."

connections=${1:-19000}
in_one_room=$((connections < 10000 ? connections : 10000))
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

# Each case has a server of its own: memory that an earlier case used would be used again.
measure() {
    # Before the server starts: what the last one said must not be taken for its words.
    : >"$log"
    "$binaries/madang" serve --listen 127.0.0.1:0 --watch-listen 127.0.0.1:0 --shards 1 --set rooms.open= \
        --log-level warn >>"$log" &
    server=$!
    until grep -q '^raw' "$log"; do
        kill -0 "$server"
        sleep 0.05
    done
    "$binaries/madang-load" idle --url "$(sed -n 's|^play *\(.*\)/play$|\1|p' "$log")" \
        --pid "$server" "$@" || failed=1
    stop
}

failed=0
measure --protocol raw --count "$connections" --rooms-of 10 --kib-max 0.6
measure --protocol native --count "$connections" --rooms-of 10 --kib-max 1
measure --protocol native --count "$in_one_room" --rooms-of "$in_one_room" --kib-max 1
exit "$failed"
