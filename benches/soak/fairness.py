#!/usr/bin/env python3
"""Fairness: a flood from one peer must not delay the others. On 127.0.0.1, ends by itself.

    fairness.py [--rounds N] [--seconds N] [--peers N] [--real-time] [--server ECHO --clients FAIRNESS]

100 quiet peers send an event every 200 ms and wait for its echo; another peer sends as much as the server takes. Runs with and without the
flood alternate, over WebSocket and over polling. The server has one thread, on CPU 0; all clients are on CPU 1, where the flood runs only
when nothing else does (or, with `--real-time`, before all programs but the quiet peers). The exit code is 1 if the median of the 99th percentiles with the flood is more than twice that without it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BOUND = 2.0
COLUMNS = ["p50", "p90", "p99", "max", "echoes", "server CPU, s"]


def build():
    target = os.environ.get("CARGO_TARGET_DIR")
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "socketio-tokio", "--example", "echo"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=HERE, check=True)
    return Path(target or ROOT / "target") / "release/examples/echo", Path(target or HERE / "target") / "release/fairness"


def measure(options, transport, flooded):
    # Above the flood, which is above everything else, or below it.
    first, second = (["chrt", "--rr", "2"], ["chrt", "--rr", "1"]) if options.real_time else ([], ["chrt", "--idle", "0"])
    server = subprocess.Popen(
        [*first, "taskset", "-c", "0", options.server, "--port", "0"],
        env={**os.environ, "WORKERS": "1"}, stderr=subprocess.PIPE, text=True,
    )
    flood = None
    try:
        address = server.stderr.readline().split()[-1]
        if flooded:
            command = [*second, "taskset", "-c", "1", options.clients, "flood", address, transport]
            flood = subprocess.Popen(command)
        used = processor_time(server.pid)
        command = [*first, "taskset", "-c", "1", options.clients, "quiet", address, transport, str(options.peers), str(options.seconds)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        if flood and flood.poll() is not None:
            raise RuntimeError("the flood has ended")
        found["server CPU, s"] = round(processor_time(server.pid) - used, 2)
        return found
    finally:
        for process in (flood, server):
            if process:
                process.kill()
                process.wait()


def processor_time(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--peers", type=int, default=100)
    parser.add_argument("--real-time", action="store_true", help="on a busy machine, as root: before all other programs, which must wait meanwhile")
    parser.add_argument("--server", type=Path, help="use this `echo` instead of building it")
    parser.add_argument("--clients", type=Path, help="use this `fairness` instead of building it")
    options = parser.parse_args()
    if not (options.server and options.clients):
        options.server, options.clients = build()
    print(f"{date.today().isoformat()}, {options.peers} peers, {options.rounds} rounds of {options.seconds} s{', real time' if options.real_time else ''}\n")
    print("| | p50, µs | p90 | p99 | longest | echoes | server CPU, s |\n|---|---|---|---|---|---|---|")
    failed = []
    for transport in ("websocket", "polling"):
        rounds = {False: [], True: []}
        for _ in range(options.rounds):
            for flooded in (False, True):
                rounds[flooded].append(measure(options, transport, flooded))
        middle = {}
        for flooded, found in rounds.items():
            middle[flooded] = {name: statistics.median(one[name] for one in found) for name in found[0]}
            values = " | ".join(f"{middle[flooded][name]:g}" for name in COLUMNS)
            print(f"| {transport}, {'flood' if flooded else 'no flood'} | {values} |")
        ratio = middle[True]["p99"] / middle[False]["p99"]
        print(f"| {transport}, ratio of p99 | | | {ratio:.2f} (bound {BOUND:g}) | | | |", flush=True)
        print(f"<!-- p99 of each round: {[one['p99'] for one in rounds[False]]}, with the flood {[one['p99'] for one in rounds[True]]} -->")
        if ratio > BOUND:
            failed.append(f"{transport}: p99 with the flood is {ratio:.2f} times that without it, more than {BOUND:g}")
    print("\n" + ("\n".join(f"BROKEN: {line}" for line in failed) if failed else "The bound holds."))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
