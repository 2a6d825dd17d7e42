#!/bin/sh
# Counts system calls per message by kind, with kernel tracepoints (perf stat; without ptrace, which would disturb batching).
# usage: stat/syscalls.sh PROTO PORT SCENARIO WINDOW [extra loadgen args] -- server command...
#   stat/syscalls.sh sio 4111 echo-ws 1 -- peers/rust/target/release/socketioxide_echo
# Requires root, or kernel.perf_event_paranoid set to -1. Run it in benches/compare.
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
perf stat -e raw_syscalls:sys_enter -o "$dir/probe" -- true || { cat "$dir/probe" >&2; echo "perf cannot read system call tracepoints here" >&2; exit 1; }
PORT=$port WORKERS=1 taskset -c 0 "$@" >/dev/null 2>"$dir/err" &
pid=$!
. stat/wait.sh
wait_listening "$dir/err" "$pid"
e=raw_syscalls:sys_enter
for s in recvfrom recvmsg read readv sendto sendmsg write writev epoll_wait epoll_pwait futex epoll_ctl; do e="$e,syscalls:sys_enter_$s"; done
perf stat -x, -e "$e,context-switches" -p "$pid" -o "$dir/stat" -- taskset -c 1 loadgen/target/release/loadgen "$scen" --proto "$proto" \
  --url "http://127.0.0.1:$port" --window "$win" --warm 0 --secs 2 --size 64 --pid "$pid" $extra >"$dir/json"
python3 - "$dir" <<'P'
import json, sys
dir = sys.argv[1]
d = json.load(open(f"{dir}/json"))
if d["errors"]:
    sys.exit(f"{d['errors']} errors: {d.get('first_error', '')}")
out = []
for l in open(f"{dir}/stat"):
    f = l.strip().split(",")
    if len(f) > 2 and f[0].isdigit() and int(f[0]) / max(d["msgs"], 1) > 0.004:
        out.append(f"{f[2].split('sys_enter_')[-1].replace('raw_syscalls:sys_enter', 'ALL')} {int(f[0]) / max(d['msgs'], 1):.3f}")
print(f"{d['scenario']} W{d['window']} msgs {d['msgs']} cpu {d['srv_cpu_us_per_msg']:.2f} us/msg | per message:", ", ".join(out))
P
