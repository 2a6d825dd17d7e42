#!/usr/bin/env python3
"""Tries nginx.conf and haproxy.cfg with two instances of the example `axum` and the official client, on other ports.

  try.py --binary PATH --packages FOLDER     a built `axum`, and a folder whose node_modules has socket.io-client

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


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default=ROOT / "target/release/examples/axum")
    arguments.add_argument("--packages", default=ROOT / "target/peers/node")
    arguments = arguments.parse_args()
    for tool in ("nginx", "haproxy", "node"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: install the package {tool}")
    first, second = free_port(), free_port()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        servers = [subprocess.Popen([arguments.binary, name, str(port)]) for name, port in (("a", first), ("b", second))]
        try:
            listening(first)
            listening(second)
            for recipe, command in (("nginx.conf", ["nginx", "-c"]), ("haproxy.cfg", ["haproxy", "-f"])):
                port = free_port()
                text = (HERE / recipe).read_text()
                for before, after in (("3001", first), ("3002", second), ("3000", port)):
                    text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
                text = text.replace("/tmp/", f"{folder}/")
                configuration = pathlib.Path(folder, recipe)
                configuration.write_text(text)
                proxy = subprocess.Popen([*command, configuration], stderr=subprocess.DEVNULL)
                try:
                    listening(port)
                    client = ["node", HERE / "try.mjs", f"http://127.0.0.1:{port}", arguments.packages]
                    run = subprocess.run(client, capture_output=True, text=True, timeout=120)
                finally:
                    proxy.terminate()
                    proxy.wait()
                good = run.returncode == 0 and run.stdout.split() == ["a", "b"]
                failed |= not good
                print(f"{recipe}: " + ("every way works, on both servers" if good else f"NOT: {run.stdout}{run.stderr}"))
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait()
    sys.exit(failed)


if __name__ == "__main__":
    main()
