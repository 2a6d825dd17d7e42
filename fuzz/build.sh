#!/usr/bin/env bash
# Builds all fuzz targets with the stable toolchain, and prints the folder of the executables.
#
#   fuzz/build.sh                     with the address sanitizer
#   SANITIZER=none fuzz/build.sh      without it: builds in two thirds of the time, and runs faster; but a single allocation that is too
#                                     large, or a stack overflow, is found later or reported less clearly
#
# It does the same as cargo-fuzz, without cargo-fuzz. It installs nothing, and reports what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v c++ >/dev/null; then
  echo "a C++ compiler is missing (libFuzzer is built from source): apt-get install g++" >&2
  exit 2
fi
# Counts edges, and reports the operands of comparisons to libFuzzer.
flags=(--cfg fuzzing -Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
case ${SANITIZER:-address} in
  address)
    # RUSTC_BOOTSTRAP enables this unstable option in a stable compiler.
    flags+=(-Zsanitizer=address)
    export RUSTC_BOOTSTRAP=1
    ;;
  none) ;;
  *) echo "SANITIZER must be address or none, not $SANITIZER" >&2; exit 2 ;;
esac
# With an explicit target, these flags do not apply to build scripts and procedural macros.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="${flags[*]}" cargo build --release --locked --target "$host" >&2
echo "$(realpath "${CARGO_TARGET_DIR:-target}")/$host/release"
