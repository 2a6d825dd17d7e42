#!/usr/bin/env python3
"""A soak: thousands of clients come and go for minutes, and nothing may remain of them in our server. On 127.0.0.1, ends by itself.

    run.py [--short] [--clients N] [--seconds N] [--warm-up N] [--rate N] [--pause MS] [--seed N] [--server PROGRAM --load PROGRAM]

Without options: 10 000 clients, ten minutes. `--short`: 1 000 clients, 30 seconds. The exit code is 1 if a bound is broken. See README.md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
# How much the heap may grow from the same moment of the first round to that of the second, as a part of the heap at rest.
BOUND = 0.01
# How many more blocks may be allocated when all have left.
MORE_BLOCKS = 10
# Sessions that may fail, as a part of all: a machine that is too busy answers pings too late.
FAILED = 0.1
# Tables whose entries belong to clients. The timers that remain are those of no client.
EMPTY = ["sockets", "rooms", "broadcasts_awaited", "recoverable_sockets", "recovery_packets", "recovery_bytes"]
EMPTY_ENGINE = ["sessions", "timers", "handlers_waiting", "queued_bytes"]
STATIC_NAMESPACES = 3
# Ping interval, ping timeout, and how long a client can be recovered, in seconds.
TIMES, TIMES_SHORT = (25, 20, 10), (3, 4, 3)


class Program:
    """A program that answers lines."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} has ended")
        return line

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.read())

    def end(self):
        self.process.kill()
        self.process.wait()


def build():
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked"], cwd=HERE, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / "release"


def kept(report):
    metrics = report["metrics"]
    return {name: metrics[name] for name in EMPTY} | {name: metrics["engine"][name] for name in EMPTY_ENGINE}


def resident(process):
    fields = Path(f"/proc/{process.pid}/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="1 000 clients, 30 seconds in each round")
    parser.add_argument("--clients", type=int)
    parser.add_argument("--seconds", type=int, help="how long clients come and go in the second round")
    parser.add_argument("--warm-up", type=int, help="how long they do in the first round")
    parser.add_argument("--rate", type=int, help="how many connections are opened in a second, at most (default: 250)", default=250)
    parser.add_argument("--pause", type=int, help="the mean time between two actions of one client, in ms (default: 3000)", default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", type=Path, help="use this program instead of building it")
    parser.add_argument("--load", type=Path, help="use this program instead of building it")
    options = parser.parse_args()
    clients = options.clients or (1_000 if options.short else 10_000)
    seconds = options.seconds or (30 if options.short else 600)
    warm_up = options.warm_up or (30 if options.short else 60)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # A client has one connection, or two if it polls.
    if hard != resource.RLIM_INFINITY and hard < clients * 3 // 2 + 500:
        sys.exit(f"{clients} clients need more file descriptors than {hard}: raise the hard limit (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not (options.server and options.load):
        folder = build()
    times = TIMES_SHORT if options.short else TIMES
    # Packets are kept as long as a client can need them, and at most a sixteenth longer.
    window = sum(times) * 17 / 16
    server = Program([options.server or folder / "server", *map(str, times)])
    load = None
    failed = []
    try:
        address = server.read().split()[-1]
        load = Program([options.load or folder / "load", address, str(clients), str(options.rate), str(options.pause), str(options.seed)])
        began = time.monotonic()

        def say(text):
            print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

        print(f"{date.today().isoformat()}, {clients} clients, warm-up {warm_up} s, {seconds} s, seed {options.seed}\n")

        def settled(expected):
            """Waits until the tables hold no more than this. Returns the report."""
            end = time.monotonic() + 2 * window
            while True:
                report = server.ask("")
                table = kept(report)
                if all(table[name] <= count for name, count in expected.items()) or time.monotonic() > end:
                    return report
                time.sleep(1)

        def churn(duration):
            load.ask("churn")
            end = time.monotonic() + duration
            while time.monotonic() < end:
                time.sleep(min(60, max(0, end - time.monotonic())))
                report = server.ask("")
                metrics = report["metrics"]
                files = len(os.listdir(f"/proc/{server.process.pid}/fd"))
                say(
                    f"{files} files, {metrics['engine']['sessions']} sessions, {metrics['engine']['sessions_opened']} so far, "
                    f"{metrics['sockets']} sockets, {metrics['rooms']} rooms, {metrics['namespaces']} namespaces, "
                    f"{metrics['recoverable_sockets']} lost sockets, {metrics['recovery_packets']} packets kept, heap {report['heap']}"
                )

        rests, ends = [], []
        for duration in (warm_up, seconds):
            # Clients connect at a rate, which is no churn yet.
            load.ask("rest")
            churn(duration)
            load.ask("rest")
            # Nothing is emitted now, so what is kept for those who return runs out.
            report = settled({"recovery_packets": 0, "recoverable_sockets": 0, "handlers_waiting": 0, "queued_bytes": 0})
            engine = report["metrics"]["engine"]
            rests.append(report)
            say(f"at rest: {engine['sessions']} sessions, {engine['timers']} timers, {report['metrics']['sockets']} sockets, heap {report['heap']}")
            if engine["sessions"] != clients:
                failed.append(f"{engine['sessions']} sessions at rest, not {clients}")
            counts = load.ask("leave")
            report = settled(dict.fromkeys(EMPTY + EMPTY_ENGINE, 0))
            ends.append(report)
            say(f"all have left: heap {report['heap']} in {report['blocks']} blocks, resident {resident(server.process)}")
            failed += [f"{name} at the end of a round: {count}, not 0" for name, count in kept(report).items() if count]
            if report["metrics"]["namespaces"] != STATIC_NAMESPACES:
                failed.append(f"namespaces at the end of a round: {report['metrics']['namespaces']}, not {STATIC_NAMESPACES}")

        print("\n| | first round | second round | change | bound |\n|---|---|---|---|---|")
        for name, (first, second) in (("all at rest", rests), ("all have left", ends)):
            change = (second["heap"] - first["heap"]) / rests[0]["heap"]
            print(f"| live heap, {name}, bytes | {first['heap']} | {second['heap']} | {change:+.3%} | <= {BOUND:.0%} |")
            if change > BOUND:
                failed.append(f"the heap, {name}, has grown by {change:.3%} of the heap at rest, more than {BOUND:.0%}")
        first, second = (report["blocks"] for report in ends)
        print(f"| live blocks, all have left | {first} | {second} | {second - first:+} | <= {MORE_BLOCKS} |")
        if second > first + MORE_BLOCKS:
            failed.append(f"{second - first} more blocks of memory than after the first round")
        print(f"\nPer session at rest: {(rests[1]['heap'] - ends[1]['heap']) // clients} bytes.\n")
        engine = ends[1]["metrics"]["engine"]
        print(f"Server: {json.dumps({name: engine[name] for name in ('sessions_opened', 'sessions_upgraded', 'sessions_closed', 'faults')})}")
        if engine["handlers_panicked"]:
            failed.append(f"handlers that panicked: {engine['handlers_panicked']}")
        print(f"Clients: {json.dumps(counts)}")
        failed += [f"{count} times {what}" for what, count in counts.items() if what.startswith("wrong")]
        lost = sum(count for what, count in counts.items() if what.startswith("lost"))
        if lost > FAILED * engine["sessions_opened"]:
            failed.append(f"{lost} sessions were lost, more than {FAILED:.0%}: the server is too slow, or the machine is too busy for --rate and --pause")
    finally:
        for program in (load, server):
            if program:
                program.end()
    print("\n" + ("\n".join(f"BROKEN: {line}" for line in failed) if failed else "All bounds hold."))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
