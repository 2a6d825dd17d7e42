#!/usr/bin/env python3
"""Runs our example `echo` behind nginx and HAProxy with common settings: refusals must reach the client and must not affect other clients.

  proxies.py [--binary PATH]     a built `echo` (default: target/release/examples/echo of this checkout)

A connection that is closed with an unread body is reset. A proxy then answers with a 502, considers the server down, and refuses other
clients. Requires nginx and haproxy. Everything stays on 127.0.0.1 and ends by itself. The exit code is 1 if a check fails.
"""
import argparse
import collections
import http.client
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PATH = "/socket.io/?EIO=4&transport=polling"

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 5m; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream two {{ server 127.0.0.1:{first}; server 127.0.0.1:{second}; keepalive 16; }}
  upstream one {{ server 127.0.0.1:{first}; keepalive 16; }}
  proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;
  server {{ listen 127.0.0.1:{one}; location / {{ proxy_pass http://one; proxy_set_header Connection ""; }} }}
  server {{ listen 127.0.0.1:{two}; location / {{ proxy_pass http://two; proxy_set_header Connection ""; }} }}
  server {{ listen 127.0.0.1:{forced}; location / {{ proxy_pass http://one; proxy_set_header Upgrade websocket; }} }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend all
  bind 127.0.0.1:{haproxy}
  default_backend ours
backend ours
  server first 127.0.0.1:{first}
"""


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


def request(port, method, target, body=None):
    """Returns the status of the response and its body. An error is returned as its name instead of the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, target, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, b""
    finally:
        connection.close()


def too_large(port):
    status, opened = request(port, "GET", PATH)
    if status != 200:
        return status
    return request(port, "POST", f"{PATH}&sid={json.loads(opened[1:])['sid']}", b"x" * 1_000_001)[0]


def refused(port):
    return request(port, "POST", f"{PATH}&sid=unknown", b"x" * 20_000)[0]


def handshakes_beside_refusals(port):
    over = threading.Event()

    def refuse():
        while not over.wait(0.05):
            refused(port)

    attacker = threading.Thread(target=refuse)
    attacker.start()
    seen = collections.Counter(request(port, "GET", PATH)[0] for _ in range(200))
    over.set()
    attacker.join()
    return seen


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default=HERE.parent.parent / "target/release/examples/echo")
    binary = arguments.parse_args().binary
    for tool in ("nginx", "haproxy"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: install Debian's package {tool}")
    ports = {name: free_port() for name in ("first", "second", "one", "two", "forced", "haproxy")}
    with tempfile.TemporaryDirectory() as folder:
        nginx, haproxy = pathlib.Path(folder, "nginx.conf"), pathlib.Path(folder, "haproxy.conf")
        nginx.write_text(NGINX.format(folder=folder, **ports))
        haproxy.write_text(HAPROXY.format(**ports))
        commands = [[str(binary), "--port", str(ports[name])] for name in ("first", "second")]
        commands += [["nginx", "-c", str(nginx)], ["haproxy", "-f", str(haproxy)]]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = [subprocess.Popen(command, **quiet) for command in commands]
        try:
            for port in ports.values():
                listening(port)
            checks = [
                ("a body over the limit, nginx", 413, collections.Counter(too_large(ports["one"]) for _ in range(30))),
                ("a body over the limit, HAProxy", 413, collections.Counter(too_large(ports["haproxy"]) for _ in range(30))),
                ("20 KB for an unknown sid, nginx", 400, collections.Counter(refused(ports["one"]) for _ in range(100))),
                ("20 KB for an unknown sid, HAProxy", 400, collections.Counter(refused(ports["haproxy"]) for _ in range(100))),
                ("handshakes during refusals, two backends", 200, handshakes_beside_refusals(ports["two"])),
                ("polling with a forced Upgrade", 200, collections.Counter(request(ports["forced"], "GET", PATH)[0] for _ in range(20))),
            ]
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()
    failed = False
    for name, expected, seen in checks:
        good = set(seen) == {expected}
        failed |= not good
        print(f"{name}: {dict(seen)}" + ("" if good else f"   FAILED: expected only {expected}"))
    sys.exit(failed)


if __name__ == "__main__":
    main()
