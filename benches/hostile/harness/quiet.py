#!/usr/bin/env python3
"""An honest client: one WebSocket that sends a small event every 50 ms and answers pings. A separate process, so that the attacker's work
does not delay it.

    quiet.py PORT

Prints `ready` once it is connected, and runs until its standard input ends. Then it prints one line of JSON: its longest wait for an echo
in ms (for a missing echo, until the end), the number of echoes, and whether it stayed connected.
"""

import json
import selectors
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness.wire import Cut, WebSocket  # noqa: E402

EVERY = 0.05


def main():
    socket = WebSocket(int(sys.argv[1]))
    print("ready", flush=True)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.buffer, selectors.EVENT_READ)
    selector.register(socket.link, selectors.EVENT_READ)
    longest, echoes, sent_at, next_at, why, ends = 0.0, 0, None, time.monotonic(), None, False
    while not ends and why is None:
        now = time.monotonic()
        if sent_at is None and now >= next_at:
            socket.link.settimeout(5)
            try:
                socket.send('42["message","quiet"]')
            except OSError as error:
                why = str(error)
                break
            sent_at, next_at = now, now + EVERY
        # Only one event is in flight at a time.
        wait = 1.0 if sent_at is not None else max(0.0, next_at - now)
        for key, _ in selector.select(0 if socket.reader.kept else wait):
            if key.fileobj is sys.stdin.buffer:
                ends = True
                continue
            try:
                while True:
                    message = socket.receive()
                    if message == b"2":
                        socket.send("3")
                    elif message.startswith(b'42["message-back"') and sent_at is not None:
                        longest, echoes, sent_at = max(longest, time.monotonic() - sent_at), echoes + 1, None
                    if not socket.reader.kept:
                        break
            except (Cut, OSError) as error:
                why = str(error)
    if sent_at is not None:
        longest = max(longest, time.monotonic() - sent_at)
    print(json.dumps({"longest_ms": round(longest * 1000), "echoes": echoes, "kept": why is None, "why": why}), flush=True)


main()
