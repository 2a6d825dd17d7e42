#!/usr/bin/env python3
"""Prints a table of system calls and user instructions per echoed message at window 1 and 32. Takes about 12 s per server.

  stat/counts.py [--only a,b] [--scen echo-ws] [--windows 1,32]

Servers are those of servers.toml. The default is a selection of Rust servers that shows where the cost of a message arises. Requires
valgrind and perf (Debian: valgrind, linux-perf). Run instr.sh directly for a list of the most expensive functions.
"""
import argparse, os, re, subprocess, sys, tomllib

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ap = argparse.ArgumentParser()
ap.add_argument("--only", default="floor-sio,tungstenite-raw,engineioxide,ours-eio,socketioxide,ours")
ap.add_argument("--scen", default="echo-ws")
ap.add_argument("--windows", default="1,32")
a = ap.parse_args()
windows = a.windows.split(",")
servers = tomllib.load(open(os.path.join(HERE, "servers.toml"), "rb"))


def count(script, pattern, s, window):
    cmd = [os.path.join(HERE, "stat", script), s["proto"], str(s["port"]), a.scen, window, "--", *s["cmd"]]
    r = subprocess.run(cmd, capture_output=True, text=True, env={**os.environ, **s.get("env", {})})
    m = re.search(pattern, r.stdout)
    if not m:
        print(f"{script} {s['cmd'][0]} W={window}: {r.stderr.strip() or r.stdout.strip()}", file=sys.stderr)
    return m.group(1) if m else "-"


heads = [f"system calls W={w}" for w in windows] + [f"user instructions W={w}" for w in windows]
print(f"| {a.scen}, per message | " + " | ".join(heads) + " |\n" + "|---" * (len(heads) + 1) + "|")
for name in a.only.split(","):
    s = servers.get(name)
    if s is None or not os.path.exists(os.path.join(HERE, s["cmd"][0])):
        print(f"skip {name}: not in servers.toml or not built", file=sys.stderr)
        continue
    row = [count("syscalls.sh", r"ALL ([\d.]+)", s, w) for w in windows]
    row += [count("instr.sh", r": (\d+) instructions", s, w) for w in windows]
    print(f"| {name} | " + " | ".join(row) + " |", flush=True)
