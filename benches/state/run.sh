#!/usr/bin/env bash
# Bytes and time of a tick: Madang's state and @colyseus/schema over the same changes.
set -euo pipefail
cd "$(dirname "$0")"

target=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")
cargo build --quiet --release --package madang-bench --target-dir "$target"
[ -d node_modules ] || npm ci --silent
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
node colyseus.js scenarios "$work/scenarios.json"
"$target/release/madang-bench" "$work/scenarios.json" > "$work/madang.json"
node colyseus.js compare "$work/madang.json"
