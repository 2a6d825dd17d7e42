#!/bin/sh
# Counts user-space instructions per message with callgrind (exact, whatever the load of the machine), and lists the top functions.
# usage: stat/instr.sh PROTO PORT SCENARIO WINDOW [extra loadgen args] -- server command...
#   stat/instr.sh sio 4111 echo-ws 32 -- peers/rust/target/release/socketioxide_echo
# Run it in benches/compare.
set -eu
cd "$(dirname "$0")/.."
proto=$1 port=$2 scen=$3 win=$4
shift 4
extra=""
while [ "$1" != "--" ]; do extra="$extra $1"; shift; done
shift
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
PORT=$port WORKERS=1 valgrind --tool=callgrind --callgrind-out-file="$dir/out" --instr-atstart=no "$@" >/dev/null 2>"$dir/err" &
pid=$!
. stat/wait.sh
wait_listening "$dir/err" "$pid"
callgrind_control -i on "$pid" >/dev/null 2>&1
loadgen/target/release/loadgen "$scen" --proto "$proto" --url "http://127.0.0.1:$port" --window "$win" --conns 10 --warm 0 --secs 3 --size 64 $extra >"$dir/json"
callgrind_control -i off "$pid" >/dev/null 2>&1
# Counting is off now, so the shutdown is not counted. Callgrind writes its file when the server ends.
kill "$pid"
wait "$pid" 2>/dev/null || true
pid=
python3 - "$dir" <<'P'
import json, re, subprocess, sys
dir = sys.argv[1]
d = json.load(open(f"{dir}/json"))
if d["errors"]:
    sys.exit(f"{d['errors']} errors: {d.get('first_error', '')}")
t = subprocess.run(["callgrind_annotate", "--threshold=80", f"{dir}/out"], capture_output=True, text=True).stdout
m = re.search(r"([\d,]+) \(100.*PROGRAM TOTALS", t)
n = int(m.group(1).replace(",", "")) if m else 0
print(f"{d['scenario']} W{d['window']} msgs {d['msgs']}: {n / max(d['msgs'], 1):.0f} instructions per message (user space)")
k = 0
for l in t.splitlines():
    g = re.match(r"\s*([\d,]+) \(\s*([\d.]+)%\)\s+(.*)", l)
    if g and "PROGRAM" not in l:
        name = re.sub(r" *\[[^\]]*\]$", "", g.group(3)).split(":", 1)[-1][:130]
        print(f"  {float(g.group(2)):5.1f}%  {int(g.group(1).replace(',', '')) / max(d['msgs'], 1):7.0f}  {name}")
        k += 1
        if k >= 28:
            break
P
