#!/usr/bin/env bash
# Madang beside its peers, from a fresh clone: builds and installs everything into the build directory, then
# measures. Needs Rust, Node.js 20, Python 3 with pip, and two cores; uses 20,000 descriptors where it gets them.
# benches/peers/run.sh [OPTIONS]: those of the runner, see --help and --list.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target
built=$target/peers
ulimit -n "$(ulimit -H -n)"

cargo build --release --quiet --package madang --package madang-load --package madang-bench --bins
cargo build --release --quiet --locked --manifest-path benches/peers/rust/Cargo.toml \
    --target-dir "$built/rust"

# Newer than the list of what it holds: as that says.
node=benches/peers/node
if [ ! "$node/node_modules/.all" -nt "$node/package-lock.json" ]; then
    (cd "$node" && npm ci --silent --no-audit --no-fund && touch node_modules/.stamp node_modules/.all)
fi

python=benches/peers/python
if [ ! "$built/python/.stamp" -nt "$python/requirements.txt" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --upgrade --target "$built/python" --requirement "$python/requirements.txt"
    touch "$built/python/.stamp"
fi
# socketify's binary is linked with the system's libuv.
if ! python3 -c 'import ctypes; ctypes.CDLL("libuv.so.1")' 2>/dev/null; then
    echo "libuv is missing; installing Debian's"
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update
    $sudo apt-get install --yes --no-install-recommends libuv1
fi

exec "$target/release/peers" "$@"
