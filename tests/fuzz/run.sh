#!/usr/bin/env bash
# tests/fuzz/run.sh TARGET [libFuzzer's options]: feeds one target with random input until it fails or is stopped.
# What is learned is kept in target/fuzz-corpus/TARGET, so that the next run goes on from there.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:?"which target? $(ls tests/fuzz/corpus | tr '\n' ' ')"}
shift

# What cargo-fuzz passes, too; all of it is known to a stable compiler. With --target, build scripts are left alone.
export RUSTFLAGS="-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
-C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
-C llvm-args=-sanitizer-coverage-trace-compares"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --locked -p fuzz --profile fuzz --target "$host" --bin "fuzz_$target"

learned=target/fuzz-corpus/$target
mkdir -p "$learned"
exec "target/$host/fuzz/fuzz_$target" "$learned" "tests/fuzz/corpus/$target" \
    -artifact_prefix="$learned-" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "$@"
