#!/usr/bin/env bash
# Fuzzes Madang's parsers, with stable Rust and a C++ compiler.
#
#     tools/fuzz.sh build                    builds the targets
#     tools/fuzz.sh smoke [SECONDS]          each target for so many seconds (30), two at a time
#     tools/fuzz.sh run SECONDS [TARGET...]  each target for so long, one after the other, keeping what is found
#     tools/fuzz.sh again TARGET FILE...     inputs once more, as after a failure
#     tools/fuzz.sh merge                    makes fuzz/corpus/ anew: what was found beyond the seeds
#
# Every run begins with the seeds of fuzz/seeds.py, the golden vectors among them, and with fuzz/corpus/.
#
# What a run finds is in target/fuzz/found/TARGET, and an input that fails in target/fuzz/failed/TARGET:
# it becomes a test beside the parser that it broke.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(config http json native proxy publish recording spectator token websocket)
# Largest input, in bytes: what is larger is slower and finds no more.
bytes_max=8192
# Most bytes that a target may hold, in MiB, and most seconds that one input may take.
mib_max=1024
input_seconds_max=20
# Most files that are kept for a target.
kept_max=200

out=${CARGO_TARGET_DIR:-target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

# Coverage for the fuzzer by options that stable Rust has. No address sanitizer: there is no unsafe code
# to find anything in.
build() {
    command -v c++ >/dev/null || { echo "fuzzing needs a C++ compiler, as in Debian's g++" >&2; exit 1; }
    RUSTFLAGS="--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
-C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
-C llvm-args=-sanitizer-coverage-trace-compares" \
        cargo build --manifest-path fuzz/Cargo.toml --locked --release --target "$host" --target-dir "$out"
}

# fuzz TARGET SECONDS SEED DIRECTORY...: what is new goes into the first directory. Seed 0 is another one
# each time.
fuzz() {
    local target=$1 seconds=$2 seed=$3
    shift 3
    mkdir -p "$out/failed/$target" "$@"
    "$out/$host/release/$target" -max_total_time="$seconds" -seed="$seed" -max_len="$bytes_max" \
        -rss_limit_mb="$mib_max" -timeout="$input_seconds_max" -print_final_stats=1 \
        -artifact_prefix="$out/failed/$target/" "$@"
}

# One line for each target, and all that was said by one that failed.
smoke_one() {
    local target=$1 seconds=$2 log
    log=$(mktemp)
    # New finds of so short a run are not kept. Always the same draws: a failure is no matter of luck.
    if fuzz "$target" "$seconds" 1 "$out/smoke/$target" "$out/seeds/$target" "fuzz/corpus/$target" \
        >"$log" 2>&1; then
        echo "fuzz $target: ok, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
    else
        cat "$log"
        echo "fuzz $target: FAILED"
        rm "$log"
        return 1
    fi
    rm "$log"
}

smoke() {
    local seconds=$1
    export out host bytes_max mib_max input_seconds_max
    export -f fuzz smoke_one
    rm -rf "$out/smoke" "$out/seeds"
    fuzz/seeds.py "$out/seeds"
    printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -euc 'smoke_one "$1" "$2"' _ {} "$seconds"
    rm -rf "$out/smoke"
    echo "${#targets[@]} passed, 0 failed: fuzz targets"
}

case ${1-} in
build) build ;;
smoke)
    build
    smoke "${2:-30}"
    ;;
run)
    build
    seconds=$2
    shift 2
    [ $# -gt 0 ] || set -- "${targets[@]}"
    rm -rf "$out/seeds"
    fuzz/seeds.py "$out/seeds"
    for target in "$@"; do
        fuzz "$target" "$seconds" 0 "$out/found/$target" "$out/seeds/$target" "fuzz/corpus/$target"
    done
    ;;
again)
    build
    target=$2
    shift 2
    "$out/$host/release/$target" "$@"
    ;;
merge)
    build
    for target in "${targets[@]}"; do
        mkdir -p "$out/found/$target" "fuzz/corpus/$target"
        # What adds to the seeds; of that so many of the smallest.
        rm -rf "$out/seeds" "$out/merged" "$out/kept"
        fuzz/seeds.py "$out/seeds"
        cp -r "$out/seeds/$target" "$out/merged"
        "$out/$host/release/$target" -merge=1 -use_counters=0 -max_len="$bytes_max" "$out/merged" \
            "fuzz/corpus/$target" "$out/found/$target"
        mkdir "$out/kept"
        ls -Sr "$out/merged" | grep -vxFf <(ls "$out/seeds/$target") | head -n "$kept_max" \
            | while read -r name; do cp "$out/merged/$name" "$out/kept/"; done
        rm -rf "fuzz/corpus/$target"
        mv "$out/kept" "fuzz/corpus/$target"
    done
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
