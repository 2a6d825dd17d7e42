#!/usr/bin/env python3
"""Compares clients: CPU time per message (a message out and one back), and memory per idle client. All of them use the example `echo` of
socketio-tokio as their server, over WebSocket. The rounds are interleaved. The server runs on CPU 0 and the client on CPU 1.

  clients/run.py [--rounds N] [--only NAME,...]

It builds what is missing. The rows are appended to results/clients.jsonl, and the tables of medians are printed."""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, "../../..")
server = os.path.join(root, "target/release/examples/echo")
rust = os.path.join(here, "rust/target/release")
python = os.path.join(here, "python/.venv/bin/python3")
clients = {
    "ours": [os.path.join(rust, "ours")],
    "rust_socketio": [os.path.join(rust, "rust_socketio")],
    "socket.io-client": ["node", os.path.join(here, "node/client.js")],
    "python-socketio": [python, os.path.join(here, "python/client.py")],
}
# Name, clients, window, messages.
scenarios = [("W=1", 10, 1, 100_000), ("W=32", 10, 32, 300_000), ("idle", 1_000, 0, 0), ("idle-10k", 10_000, 0, 0)]
slow = {"python-socketio": 10, "socket.io-client": 2}


def build():
    run = lambda folder, *command: subprocess.run(command, cwd=os.path.join(here, folder), check=True)
    run("../../..", "cargo", "build", "--release", "-q", "--locked", "-p", "socketio-tokio", "--example", "echo")
    run("rust", "cargo", "build", "--release", "-q", "--locked")
    if not os.path.isdir(os.path.join(here, "node/node_modules")):
        run("node", "npm", "ci", "--no-audit", "--no-fund", "--silent")
    if not os.path.exists(python):
        run("python", "python3", "-m", "venv", ".venv")
        run("python", ".venv/bin/pip", "install", "-q", "-r", "requirements.txt")


def start_server():
    command = ["taskset", "-c", "0", server, "--port", "0"]
    # Pings would count as work of idle clients.
    environment = dict(os.environ, PING_INTERVAL_MS="600000", PING_TIMEOUT_MS="600000")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    for line in process.stderr:
        if "listening on" in line:
            return process, line.split("listening on")[1].strip()
    sys.exit("the server did not start")


def measure(name, scenario, address):
    _, count, window, messages = scenario
    messages //= slow.get(name, 1)
    command = ["taskset", "-c", "1", *clients[name], f"http://{address}", str(count), str(window), str(messages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only")
    parser.add_argument("--scenarios")
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else list(clients)
    chosen = [s for s in scenarios if not arguments.scenarios or s[0] in arguments.scenarios.split(",")]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    build()
    rows = []
    with open(os.path.join(here, "../results/clients.jsonl"), "a") as results:
        for scenario in chosen:
            # Ten thousand clients of the others take gigabytes.
            taking_part = ["ours"] if scenario[0] == "idle-10k" else names
            rounds = arguments.rounds if scenario[3] else 1
            for round in range(rounds):
                shift = round % len(taking_part)
                for name in taking_part[shift:] + taking_part[:shift]:
                    process, address = start_server()
                    row = {"scenario": scenario[0], "client": name, **measure(name, scenario, address)}
                    process.terminate()
                    process.wait()
                    rows.append(row)
                    results.write(json.dumps(row) + "\n")
    print("| scenario | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for scenario in chosen:
        key = "cpu_us_per_msg" if scenario[3] else "rss_per_client"
        cells = []
        for name in names:
            of = [row[key] for row in rows if (row["scenario"], row["client"]) == (scenario[0], name)]
            cells.append(f"{statistics.median(of):,.2f}" if of and scenario[3] else f"{of[0]:,}" if of else "-")
        print(f"| {scenario[0]}, {'us per message' if scenario[3] else 'bytes per client'} | " + " | ".join(cells) + " |")


main()
