#!/usr/bin/env python3
"""Runs attacks by clients against our server and the reference on Node, on 127.0.0.1.

    run.py [--full] [--binary ECHO] [--logged PROGRAM] [--only ours|node] [--out FILE] [ATTACK...]

Builds our example `echo` (unless `--binary` names one), runs every attack against each server in turn, and prints the measurements with
their bounds. The exit code is 1 if our server exceeds a bound. `--list` lists the attacks. See README.md.
"""

import argparse
import sys
import threading
import time
import traceback
from datetime import date
from pathlib import Path

import attacks
from attacks import AFTER, BEFORE, COMMON, GROWN, LOG, PER_BYTE, QUIET, SENT, STALL, SURVIVED
from harness import servers, wire
from harness.servers import MB

# An attack takes about ten seconds. If it hangs, its server is killed, which ends it.
PATIENCE, PATIENCE_FULL = 90, 300
# No attack may exhaust the machine: a server that exceeds this memory is killed.
CAP, CAP_FULL = 1 << 30, 5 << 30
TABLE = "| attack | measured | bound | ours | Node |\n|---|---|---|---|---|"
# Facts that are omitted if they have unremarkable values.
USUAL = {
    QUIET: lambda value: value == 1,
    SURVIVED: lambda value: value == 1,
    LOG: lambda value: value == 0,
    SENT: lambda value: value < 0.5,
    BEFORE: lambda value: True,
    GROWN: lambda value: value < 5,
    PER_BYTE: lambda value: value < 0.1,
    AFTER: lambda value: value < 5,
}


class Attempt:
    """One attack on one server: its helpers and its results."""

    def __init__(self, server, full, before):
        self.server, self.port, self.full = server, server.port, full
        # The socket of the honest client, and those of the runtime.
        self.own = server.sockets()
        # The memory of the server before the attack.
        self.before = before
        self.facts = {}
        self.bytes = 0
        self.links = []
        self.remarks = []

    def remark(self, text):
        self.remarks.append(text)

    def fact(self, name, value):
        self.facts[name] = value

    def sent(self, count):
        self.bytes += count

    def size(self, quick, full):
        return full if self.full else quick

    def keep(self, link):
        """Keeps a socket (or an object with a `close`) open until the attack is over."""
        self.links.append(link)
        return link

    def let_go(self):
        for link in self.links:
            wire.close(link)
        self.links.clear()

    def wait_for(self, condition, seconds):
        """Waits until the condition holds, at most this long. Returns the seconds that it took, or None."""
        began = time.monotonic()
        while time.monotonic() - began < seconds and self.server.alive():
            if condition():
                return time.monotonic() - began
            time.sleep(0.05)
        return time.monotonic() - began if condition() else None

    def sockets(self):
        """Returns the number of open connections of the server, without that of the honest client."""
        return max(0, self.server.sockets() - self.own)


def attempt(entry, kind, programs, full):
    """Runs one attack against one server. Returns its facts and remarks."""
    program = kind if kind == "node" else entry.program
    server = servers.Server(program, entry.settings, programs, CAP_FULL if full else CAP)
    remarks = [f"this {entry.program} does not support {flag}: its default was used" for flag in server.ignored]
    timer = threading.Timer(PATIENCE_FULL if full else PATIENCE, server.kill, ["killed, because the attack did not end"])
    timer.daemon = True
    timer.start()
    quiet = None
    try:
        quiet = servers.Quiet(server.port)
        time.sleep(0.3)
        before = server.memory()
        log_before = server.log_bytes()
        server.top = before
        run = Attempt(server, full, before)
        try:
            entry.run(run)
        except (OSError, wire.Cut) as error:
            if server.alive():
                run.fact("ended early", 1)
                where = traceback.extract_tb(error.__traceback__)[-1]
                remarks.append(f"the attack ended early: {type(error).__name__} {error} (line {where.lineno} of {Path(where.filename).name})")
        top = server.top
        run.let_go()
        time.sleep(1.0)
        after = server.memory()
        report = quiet.end()
        facts = {SENT: run.bytes / MB, BEFORE: before / MB, GROWN: max(0, top - before) / MB}
        if run.bytes >= MB:
            facts[PER_BYTE] = max(0, top - before) / run.bytes
        facts |= {AFTER: max(0, after - before) / MB, STALL: report["longest_ms"], QUIET: int(report["kept"])}
        facts[LOG] = server.log_bytes() - log_before
        facts[SURVIVED] = int(server.alive())
        facts |= run.facts
        remarks += run.remarks
        if server.killed:
            remarks.append(server.killed)
        elif not server.alive():
            remarks.append(f"the server ended with exit code {server.process.returncode}")
        if not report["kept"]:
            remarks.append(f"the honest client was disconnected: {report['why']}")
        return facts, remarks
    finally:
        timer.cancel()
        if quiet:
            quiet.end()
        server.end()


def number(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value}"


def main():
    known = attacks.load()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", nargs="*", help="the attacks to run (default: all)")
    parser.add_argument("--full", action="store_true", help="full sizes: up to several GB of memory, and longer")
    parser.add_argument("--binary", "--ours", type=Path, help="use this `echo` instead of building it")
    parser.add_argument("--logged", type=Path, help="use this `server/` program instead of building it")
    parser.add_argument("--only", choices=["ours", "node"], help="run only this server")
    parser.add_argument("--out", type=Path, help="write the rows that have a bound to this file")
    parser.add_argument("--list", action="store_true", help="list the attacks")
    options = parser.parse_args()
    if unknown := [name for name in options.attack if name not in known]:
        parser.error(f"unknown attack {unknown[0]}: --list lists the attacks")
    chosen = [known[name] for name in options.attack] or list(known.values())
    if options.list:
        for entry in chosen:
            print(f"{entry.name}\n    {entry.text}")
        return 0
    for program in (options.binary, options.logged):
        if program and not program.is_file():
            parser.error(f"{program} does not exist")
    kinds = [options.only] if options.only else ["ours", "node"]
    programs = {}
    if "ours" in kinds:
        if any(entry.program == "echo" for entry in chosen):
            programs["echo"] = options.binary.resolve() if options.binary else servers.build_echo()
        if any(entry.program == "logged" for entry in chosen):
            programs["logged"] = options.logged.resolve() if options.logged else servers.build_logged()
    # The packages of the reference include the official client.
    servers.install_node()

    verdicts, remarks_of, bounded = [], [], [TABLE]

    def say(line):
        print(line, flush=True)

    say(f"{date.today().isoformat()}, {'full sizes' if options.full else 'quick sizes'}\n")
    say(TABLE)
    for entry in chosen:
        found = {kind: attempt(entry, kind, programs, options.full) for kind in kinds}
        ours, node = (found.get(kind, ({}, []))[0] for kind in ("ours", "node"))
        failed, first = [], True
        for fact in dict.fromkeys([*ours, *node, *entry.bounds]):
            bound = entry.bounds.get(fact)
            usual = USUAL.get(fact)
            if usual and all(usual(facts.get(fact, 0)) for facts in (ours, node) if facts):
                continue
            bad = "ours" in kinds and bound is not None and (ours.get(fact) is None or not bound.holds(ours[fact]))
            if bad:
                failed.append(f"{fact}: {number(ours.get(fact))}, not {bound}")
            row = f"| {fact} | {bound or ''} | {number(ours.get(fact))}{' **!**' if bad else ''} | {number(node.get(fact))} |"
            say(f"| {entry.name if first else ''} {row}")
            first = False
            if bad or (bound and fact not in COMMON):
                bounded.append(f"| {entry.name} {row}")
        for kind in kinds:
            remarks_of += [f"{entry.name}, {kind}: {remark}" for remark in found[kind][1]]
        verdicts.append((entry, failed))
    if remarks_of:
        say("\nRemarks\n")
        for remark in remarks_of:
            say(f"* {remark}")
    code = 0
    if "ours" in kinds:
        say("\nOurs\n")
        for entry, failed in verdicts:
            say(f"* {entry.name}: {'not within its bounds: ' + '; '.join(failed) if failed else 'within its bounds'}")
            code |= bool(failed)
    if options.out:
        options.out.write_text("\n".join(bounded) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
