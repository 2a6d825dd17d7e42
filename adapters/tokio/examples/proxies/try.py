#!/usr/bin/env python3
"""Tries nginx.conf and haproxy.cfg with two instances of the example `axum` and the official client, on other ports.

  try.py --examples FOLDER --packages FOLDER     with the built `axum` and `hyper`; whose node_modules has socket.io-client

The example `hyper` is tried as well, without a proxy.

Needs nginx, haproxy and node. Everything stays on 127.0.0.1 and ends by itself; the exit code is 1 if something was not as it must be.
"""
import argparse
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def tried(name, command, port, packages, servers):
    """Runs the client against a program that listens on this port. Returns whether it worked and met these servers."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        listening(port)
        client = ["node", HERE / "try.mjs", f"http://127.0.0.1:{port}", packages]
        run = subprocess.run(client, capture_output=True, text=True, timeout=120)
    finally:
        process.terminate()
        process.wait()
    good = run.returncode == 0 and run.stdout.split() == servers
    print(f"{name}: " + (f"every way works, on {' and '.join(servers)}" if good else f"NOT: {run.stdout}{run.stderr}"))
    return good


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--examples", type=pathlib.Path, default=ROOT / "target/release/examples")
    arguments.add_argument("--packages", default=ROOT / "target/peers/node")
    arguments = arguments.parse_args()
    for tool in ("nginx", "haproxy", "node"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: install the package {tool}")
    first, second = free_port(), free_port()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        axum = arguments.examples / "axum"
        servers = [subprocess.Popen([axum, name, str(port)]) for name, port in (("a", first), ("b", second))]
        try:
            listening(first)
            listening(second)
            for recipe, command in (("nginx.conf", ["nginx", "-c"]), ("haproxy.cfg", ["haproxy", "-f"]), ("hyper", None)):
                port = free_port()
                if command is None:
                    failed |= not tried(recipe, [arguments.examples / recipe, str(port)], port, arguments.packages, ["hyper"])
                    continue
                text = (HERE / recipe).read_text()
                for before, after in (("3001", first), ("3002", second), ("3000", port)):
                    text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
                text = text.replace("/tmp/", f"{folder}/")
                configuration = pathlib.Path(folder, recipe)
                configuration.write_text(text)
                failed |= not tried(recipe, [*command, configuration], port, arguments.packages, ["a", "b"])
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait()
    sys.exit(failed)


if __name__ == "__main__":
    main()
