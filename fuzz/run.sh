#!/usr/bin/env bash
# Runs the fuzz targets.
#
#   fuzz/run.sh SECONDS [TARGET...]     so many seconds of the processor each (default 60); all targets, or those that are named
#
# As many run at a time as there are processors, or JOBS=n of them. SANITIZER=none leaves the address sanitizer out (see build.sh).
# What is found is written to fuzz/artifacts/TARGET/, and the other targets go on. Logs are in fuzz/artifacts/logs (or $FUZZ_LOGS),
# corpora in fuzz/corpus; at the end comes a table of what was done. Fails when something was found. Linux alone: it reads /proc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(sed -n 's/^    ("\([a-z_]*\)", .*/\1/p' targets/src/lib.rs)
fi
binaries=$(./build.sh)
for target in "${targets[@]}"; do
  [ -x "$binaries/$target" ] || { echo "there is no target $target; fuzz/README.md has a table of them" >&2; exit 2; }
done
command -v python3 >/dev/null && python3 seeds.py || echo "no python3: seeds are those of fuzz/seeds alone"

logs=${FUZZ_LOGS:-artifacts/logs}
mkdir -p "$logs"
jobs=${JOBS:-$(nproc)}
ticks=$(getconf CLK_TCK)
declare -A dictionaries=([engine_packet]=engine [engine_payload]=engine [engine_encode]=engine [jsonp]=engine
  [webtransport]=engine [http_route]=engine [http_bodies]=engine [json_scanner]=socket [socket_json]=socket
  [socket_msgpack]=socket [typed_read]=socket [websocket_decoder]=websocket [websocket_connection]=websocket
  [websocket_handshake]=websocket)

# What a child has had of the processor, in ticks; fails when it has ended.
spent() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${line##*) }"
  [ "${fields[0]}" != Z ] || return 1
  echo $((fields[11] + fields[12]))
}

# One target, for its seconds. By the processor's time and not by the clock: a machine that is busy with other things says little by that.
fuzz() {
  local target=$1 folders options dictionary pid now code=0 had=0
  folders=("corpus/$target" "seeds/$target" "regressions/$target")
  options=(-rss_limit_mb=2048 -malloc_limit_mb=256 -timeout=30 -print_final_stats=1 -artifact_prefix="artifacts/$target/"
    # Should nobody be there to stop it.
    -max_total_time=$((seconds * 20 + 60)))
  dictionary=${dictionaries[$target]:-}
  [ -z "$dictionary" ] || options+=(-dict="dictionaries/$dictionary.dict")
  case $target in
    # Scripts of machines, and streams, get somewhere when they are long.
    websocket_*|socket_connection|engine_session|namespace) options+=(-max_len=1500 -len_control=20) ;;
    *) options+=(-max_len=4096) ;;
  esac
  mkdir -p "artifacts/$target" "${folders[@]}"
  rm -f "$logs/$target".*
  "$binaries/$target" "${options[@]}" "${folders[@]}" >"$logs/$target.log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; exit 1' TERM
  while now=$(spent "$pid"); do
    had=$now
    # It then ends in order, with its figures.
    [ "$had" -lt $((seconds * ticks)) ] || kill -USR1 "$pid" 2>/dev/null || true
    sleep 0.2
  done
  wait "$pid" || code=$?
  echo $((had / ticks)) >"$logs/$target.cpu"
  if [ $code -eq 0 ]; then
    printf '%s: nothing found, %d s of the processor\n' "$target" $((had / ticks))
  else
    touch "$logs/$target.found"
    printf '%s: FOUND SOMETHING, see %s and %s\n' "$target" "fuzz/$logs/$target.log" "fuzz/artifacts/$target/"
  fi
  rmdir --ignore-fail-on-non-empty "regressions/$target" "artifacts/$target"
}

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
printf '%d targets, %s s of the processor each, %d at a time\n' ${#targets[@]} "$seconds" "$jobs"
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  fuzz "$target" &
done
wait

echo
./table.sh "$logs" "${targets[@]}"
found=()
for target in "${targets[@]}"; do
  # Without the first it was not run to its end.
  [ -e "$logs/$target.cpu" ] && [ ! -e "$logs/$target.found" ] || found+=("$target")
done
if [ ${#found[@]} -gt 0 ]; then
  for target in "${found[@]}"; do
    printf '\n%s: what was said first, and the end of its log (with the input, as base64)\n' "$target"
    grep -a -m 1 -A 8 -E 'panicked at|ERROR: ' "$logs/$target.log" | cut -c 1-400 || true
    echo ...
    tail -n 12 "$logs/$target.log" | cut -c 1-400
  done
  printf '\nfound something: %s\n' "${found[*]}"
  exit 1
fi
