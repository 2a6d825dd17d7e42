#!/usr/bin/env bash
# Runs the fuzz targets.
#
#   fuzz/run.sh SECONDS [TARGET...]     SECONDS of processor time for each target (default 60); all targets unless some are named
#
# Runs as many targets at a time as there are processors, or JOBS=n. SANITIZER=none disables the address sanitizer (see build.sh).
# Finds are written to fuzz/artifacts/TARGET/, and the other targets continue. Logs are in fuzz/artifacts/logs (or $FUZZ_LOGS),
# corpora in fuzz/corpus. Prints a table at the end, and fails if a target found something. Needs Linux, because it reads /proc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(sed -n 's/^    ("\([a-z0-9_]*\)", .*/\1/p' targets/src/lib.rs)
fi
binaries=$(./build.sh)
for target in "${targets[@]}"; do
  [ -x "$binaries/$target" ] || { echo "unknown target $target: fuzz/README.md lists the targets" >&2; exit 2; }
done
command -v python3 >/dev/null && python3 seeds.py || echo "python3 is missing: only the seeds of fuzz/seeds are used"

logs=${FUZZ_LOGS:-artifacts/logs}
mkdir -p "$logs"
jobs=${JOBS:-$(nproc)}
ticks=$(getconf CLK_TCK)
declare -A dictionaries=([engine_packet]=engine [engine_payload]=engine [engine_encode]=engine [jsonp]=engine
  [webtransport]=engine [http_route]=engine [http_bodies]=engine [json_scanner]=socket [socket_json]=socket
  [socket_msgpack]=socket [typed_read]=socket [websocket_decoder]=websocket [websocket_connection]=websocket
  [websocket_handshake]=websocket [websocket_deflate]=websocket)

# Prints the processor time of a child in ticks. Fails if the child has ended.
spent() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${line##*) }"
  [ "${fields[0]}" != Z ] || return 1
  echo $((fields[11] + fields[12]))
}

# Runs one target for its seconds of processor time. Elapsed time would depend on the load of the machine.
fuzz() {
  local target=$1 folders options dictionary pid now code=0 had=0
  folders=("corpus/$target" "seeds/$target" "regressions/$target")
  options=(-rss_limit_mb=2048 -malloc_limit_mb=256 -timeout=30 -print_final_stats=1 -artifact_prefix="artifacts/$target/"
    # Stops the target if this script no longer runs.
    -max_total_time=$((seconds * 20 + 60)))
  dictionary=${dictionaries[$target]:-}
  [ -z "$dictionary" ] || options+=(-dict="dictionaries/$dictionary.dict")
  case $target in
    # Scripts and streams reach interesting states only if they are long.
    websocket_*|socket_connection*|engine_session*|engine_client|socket_client|namespace|recovery) options+=(-max_len=1500 -len_control=20) ;;
    *) options+=(-max_len=4096) ;;
  esac
  mkdir -p "artifacts/$target" "${folders[@]}"
  rm -f "$logs/$target".*
  "$binaries/$target" "${options[@]}" "${folders[@]}" >"$logs/$target.log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; exit 1' TERM
  while now=$(spent "$pid"); do
    had=$now
    # USR1 makes libFuzzer print its statistics and exit.
    [ "$had" -lt $((seconds * ticks)) ] || kill -USR1 "$pid" 2>/dev/null || true
    sleep 0.2
  done
  wait "$pid" || code=$?
  echo $((had / ticks)) >"$logs/$target.cpu"
  if [ $code -eq 0 ]; then
    printf '%s: nothing found, %d s of processor time\n' "$target" $((had / ticks))
  else
    touch "$logs/$target.found"
    printf '%s: FAILED, see %s and %s\n' "$target" "fuzz/$logs/$target.log" "fuzz/artifacts/$target/"
  fi
  rmdir --ignore-fail-on-non-empty "regressions/$target" "artifacts/$target"
}

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
printf '%d targets, %s s of processor time each, %d at a time\n' ${#targets[@]} "$seconds" "$jobs"
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  fuzz "$target" &
done
wait

echo
./table.sh "$logs" "${targets[@]}"
found=()
for target in "${targets[@]}"; do
  # Without the first file, the target did not run to its end.
  [ -e "$logs/$target.cpu" ] && [ ! -e "$logs/$target.found" ] || found+=("$target")
done
if [ ${#found[@]} -gt 0 ]; then
  for target in "${found[@]}"; do
    printf '\n%s: the first error, and the end of the log (with the input as base64)\n' "$target"
    grep -a -m 1 -A 8 -E 'panicked at|ERROR: ' "$logs/$target.log" | cut -c 1-400 || true
    echo ...
    tail -n 12 "$logs/$target.log" | cut -c 1-400
  done
  printf '\nfailed targets: %s\n' "${found[*]}"
  exit 1
fi
