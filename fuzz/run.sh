#!/usr/bin/env bash
# Runs every fuzz target, one after the other, on the stable toolchain.
#
#   fuzz/run.sh SECONDS [TARGET...]     so many seconds each (default 60); all targets, or those that are named
#
# What is found is written to fuzz/artifacts/TARGET/, and the run goes on with the next target. Logs are in fuzz/artifacts/logs (or
# $FUZZ_LOGS), corpora in fuzz/corpus; at the end comes a table of what was done. Fails when something was found. Nothing is
# installed: what is missing is said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-60}
shift || true
if ! command -v cargo-fuzz >/dev/null; then
  echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2
  exit 2
fi
if ! command -v c++ >/dev/null; then
  echo "a C++ compiler is missing (libFuzzer is built from source): apt-get install g++" >&2
  exit 2
fi
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(sed -n 's/^    ("\([a-z_]*\)", .*/\1/p' targets/src/lib.rs)
fi

# The sanitizer is an unstable option of a stable compiler.
export RUSTC_BOOTSTRAP=1
cargo fuzz build
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=${CARGO_TARGET_DIR:-target}/$host/release
command -v python3 >/dev/null && python3 seeds.py || echo "no python3: seeds are those of fuzz/seeds alone"

logs=${FUZZ_LOGS:-artifacts/logs}
mkdir -p "$logs"
# What a target has had of the processor: a machine that is busy with other things says little by its clock.
TIMEFORMAT=%0U
declare -A dictionaries=([engine_packet]=engine [engine_payload]=engine [engine_encode]=engine [jsonp]=engine
  [webtransport]=engine [http_route]=engine [http_bodies]=engine [json_scanner]=socket [socket_json]=socket
  [socket_msgpack]=socket [typed_read]=socket [websocket_decoder]=websocket [websocket_connection]=websocket
  [websocket_handshake]=websocket)
found=()
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target" "regressions/$target"
  options=(-max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=256 -timeout=10 -print_final_stats=1
    -artifact_prefix="artifacts/$target/")
  dictionary=${dictionaries[$target]:-}
  [ -z "$dictionary" ] || options+=(-dict="dictionaries/$dictionary.dict")
  case $target in
    # Scripts of machines, and streams, get somewhere when they are long.
    websocket_*|socket_connection|engine_session|namespace) options+=(-max_len=1500 -len_control=20) ;;
    *) options+=(-max_len=4096) ;;
  esac
  printf '%s %s: %s s\n' "$(date -u +%H:%M)" "$target" "$seconds"
  if ! { time "$binaries/$target" "${options[@]}" "corpus/$target" "seeds/$target" "regressions/$target" >"$logs/$target.log" 2>&1; } 2>"$logs/$target.cpu"; then
    found+=("$target")
    echo "found something: see $logs/$target.log and artifacts/$target/"
  fi
  rmdir --ignore-fail-on-non-empty "regressions/$target" "artifacts/$target"
done

echo
./table.sh "$logs" "${targets[@]}"
if [ ${#found[@]} -gt 0 ]; then
  printf '\nfound something: %s\n' "${found[*]}"
  exit 1
fi
