# Shared code of the Python scripts: reports checks, sends requests to the test program, and has sample values.
#
# A script is started as `script URL MODE CHECK...`. For each check it prints {"check": name, "ok": true} or {"check": name, "ok": false,
# "error": text}. It sends requests to the test program as {"do": ...} lines, each of which is answered by a line on standard input. It
# ends when its standard input ends, so that no script outlives the test program.

import json
import os
import queue
import sys
import threading

url, mode, *wanted = sys.argv[1:]

# The last resort against a hang. No check depends on its value.
DEADLINE_SECONDS = 60

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
FINAL_TRANSPORT = {"polling": "polling", "websocket": "websocket", "upgrade": "websocket"}

TEXTS = ["", "plain", 'quotes " and \\ and \0 and \x1e and \u2028', "grüße, привет, 你好", "emoji 😀 👩‍👩‍👧‍👦"]
VALUES = [None, True, 0, -1.5, [], {}, [[["deep"], {}], {"a": {"b": [{"c": None}]}}]]
BYTES = bytes(range(256))
MEGABYTE_OF_BYTES = bytes((index * 31 + (index >> 8)) & 0xFF for index in range(1_000_000))
MEGABYTE_OF_TEXT = "".join(f"{index:010}" for index in range(100_000))

answers = queue.Queue()


def read_answers():
    for line in sys.stdin:
        answers.put(line)
    os._exit(3)


threading.Thread(target=read_answers, daemon=True).start()


def say(**value):
    # One write per line, because threads of the client library may log at the same time.
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def ask(what):
    """Asks the test program to do something with the server and waits until it is done. Blocks."""
    say(do=what)
    answers.get(timeout=DEADLINE_SECONDS)


def same(seen, expected):
    # python-socketio returns a list if the sender had one, and plain values otherwise.
    if seen != expected:
        raise AssertionError(f"expected {str(expected)[:500]}, not {str(seen)[:500]}")
