#!/usr/bin/env bash
# What TLS costs the server: handshakes a second on one core, and the memory of connections that are idle,
# against the bound that the project keeps, 10 KiB. Exits with 1 when it is broken or a connection died. Needs a
# descriptor for each connection twice: tools/measure-tls.sh [CONNECTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."

connections=${1:-15000}
ulimit -n "$(ulimit -H -n)"

[ -n "${NO_BUILD-}" ] || cargo build --release --quiet --workspace --bins --examples
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

# Its address is in `url` then.
start() {
    : >"$log"
    "$binaries/madang" serve --listen 127.0.0.1:0 --watch-listen 127.0.0.1:0 --shards 1 --set rooms.open= \
        --log-level warn "--tls-self-signed=$directory/made" >>"$log" &
    server=$!
    until grep -q '^clients' "$log"; do
        kill -0 "$server"
        sleep 0.05
    done
    url=$(sed -n 's|^play *\(.*\)/play$|\1|p' "$log")
}

failed=0
start
"$binaries/examples/handshakes" "${url#*//}" "$server" "$directory/made/certificate.pem" 5 || failed=1
stop
start
"$binaries/madang-load" idle --url "$url" --tls-ca "$directory/made/certificate.pem" --pid "$server" \
    --protocol raw --count "$connections" --rooms-of 10 --kib-max 10 || failed=1
exit "$failed"
