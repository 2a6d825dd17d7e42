#!/bin/sh
# Builds the benchmark of the codecs with the peers, and prints the table with times, allocations and instructions: about five minutes
# to build, then one to run. Arguments are passed to codec-bench: `--rounds 51`, or a part of a case's name such as 'small event/'.
# Instructions require valgrind, and the column of Node requires node. Without them, the table omits these.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked -q
if command -v valgrind >/dev/null; then set -- --counts "$@"; fi
if command -v node >/dev/null; then
  [ -d ../compare/peers/node/node_modules ] || (cd ../compare/peers/node && npm ci --no-audit --no-fund --silent)
  node node.js > "$target/node.jsonl"
  set -- --node "$target/node.jsonl" "$@"
fi
cat /proc/loadavg >&2
"$target/release/codec-bench" "$@"
printf '\nWith the feature `simd`:\n\n'
cargo build --release --locked -q --features simd --target-dir "$target/simd"
"$target/simd/release/codec-bench" "$@" base64
