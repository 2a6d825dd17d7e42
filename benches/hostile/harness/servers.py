"""Starts, monitors and stops the servers under attack, on a free port of 127.0.0.1 and with limited memory.

Each attack starts a new server. Its memory is the resident memory of the process, without the socket buffers of the kernel.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
MB = 1_000_000


class Quiet:
    """The honest client that runs during the attack, see `quiet.py`."""

    def __init__(self, port):
        command = [sys.executable, str(HERE / "harness/quiet.py"), str(port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.report = None
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError("the honest client cannot connect")

    def end(self):
        if self.report is None:
            with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
                out, _ = self.process.communicate(timeout=10)
                self.report = json.loads(out)
            if self.report is None:
                self.process.kill()
                self.process.wait()
                self.report = {"longest_ms": 10_000, "echoes": 0, "kept": False, "why": "stuck"}
        return self.report


class Server:
    """A running server."""

    def __init__(self, kind, settings, programs, memory_cap):
        self.kind = kind
        self.ignored = []
        self.log = HERE / "logs" / f"{kind}.log"
        self.log.parent.mkdir(exist_ok=True)
        self.cap = memory_cap
        self.killed = None
        self.top = 0
        self._start(settings, programs)
        threading.Thread(target=self._watch, daemon=True).start()

    def _start(self, settings, programs):
        settings = dict(settings)
        for _ in range(len(settings) + 1):
            # The port is free now. If another process takes it before the server does, the server reports an error.
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            if self.kind == "node":
                command = ["node", str(HERE / "node/server.js")]
                environment = {name.upper().replace("-", "_"): "1" if value is None else str(value) for name, value in settings.items()}
                for name in ("PING_INTERVAL", "PING_TIMEOUT", "UPGRADE_TIMEOUT"):
                    if name in environment:
                        environment[f"{name}_MS"] = environment.pop(name)
                environment["PORT"] = str(self.port)
            else:
                command = [str(programs[self.kind]), "--port", str(self.port)]
                for name, value in settings.items():
                    command += [f"--{name}"] if value is None else [f"--{name}", str(value)]
                # As many threads as Node has, so that a stall affects all clients. The C library returns freed memory at once. Otherwise
                # the result would include memory that the allocator keeps.
                environment = {"WORKERS": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}
            with open(self.log, "wb") as log:
                self.process = subprocess.Popen(
                    command,
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=self._limit,
                )
            self.settings = settings
            if self._listens():
                return
            said = self.log.read_text(errors="replace")
            unknown = next((name for name in settings if f"unknown flag --{name}" in said), None)
            if unknown is None:
                raise RuntimeError(f"{command[0]} does not listen: {said.strip() or 'no output'}")
            # An older program has fewer flags. It runs with its default.
            self.ignored.append(f"--{unknown}")
            del settings[unknown]

    def _limit(self):
        # This limits addresses, not pages, and a runtime reserves more than it uses. `_watch` limits memory more precisely.
        resource.setrlimit(resource.RLIMIT_AS, (self.cap + (8 << 30), self.cap + (8 << 30)))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def _listens(self):
        for _ in range(200):
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return True
            time.sleep(0.05)
        return False

    def _watch(self):
        while self.process.poll() is None:
            memory = self.memory()
            self.top = max(self.top, memory)
            if memory > self.cap and self.killed is None:
                self.killed = f"killed at {self.cap // MB} MB"
                self.process.kill()
            time.sleep(0.02)

    def memory(self):
        """Returns the resident bytes, or 0 if the process has ended."""
        with contextlib.suppress(OSError, IndexError):
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()
        return 0

    def sockets(self):
        """Returns the number of open connections of the process, without its listener."""
        count = -1
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{self.process.pid}/fd"):
                with contextlib.suppress(OSError):
                    count += os.readlink(f"/proc/{self.process.pid}/fd/{name}").startswith("socket:")
        return max(count, 0)

    def log_bytes(self):
        return self.log.stat().st_size

    def alive(self):
        return self.process.poll() is None

    def pause(self, seconds):
        self.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self, why):
        if self.killed is None and self.alive():
            self.killed = why
            self.process.kill()

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


def build_echo():
    """Builds our example `echo`."""
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "socketio-tokio", "--example", "echo"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/examples/echo"


def build_logged():
    """Builds our server with a log and slow handlers (`server/`)."""
    subprocess.run(["cargo", "build", "--quiet", "--locked"], cwd=HERE / "server", check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", HERE / "server/target")) / "debug/hostile-server"


def install_node():
    """Installs the packages of the reference if they are missing."""
    if not (HERE / "node/node_modules/socket.io").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=HERE / "node", check=True)
