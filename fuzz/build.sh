#!/usr/bin/env bash
# Builds every fuzz target, on the stable toolchain, and prints the folder in which they are then.
#
#   fuzz/build.sh                     with the address sanitizer
#   SANITIZER=none fuzz/build.sh      without: two thirds of the time to build, and faster; but what allocates too much by one call, or
#                                     overflows the stack, is found late or told badly
#
# It is what cargo-fuzz does, without cargo-fuzz. Nothing is installed: what is missing is said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v c++ >/dev/null; then
  echo "a C++ compiler is missing (libFuzzer is built from source): apt-get install g++" >&2
  exit 2
fi
# Counts edges, and tells libFuzzer what is compared with what.
flags=(--cfg fuzzing -Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
case ${SANITIZER:-address} in
  address)
    # An unstable option of a stable compiler.
    flags+=(-Zsanitizer=address)
    export RUSTC_BOOTSTRAP=1
    ;;
  none) ;;
  *) echo "SANITIZER is address or none, not $SANITIZER" >&2; exit 2 ;;
esac
# With a target that is named, build scripts and procedural macros go without these flags.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="${flags[*]}" cargo build --release --locked --target "$host" >&2
echo "$(realpath "${CARGO_TARGET_DIR:-target}")/$host/release"
