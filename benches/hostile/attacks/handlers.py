"""Attacks on handlers that wait."""

import contextlib
import threading
import time

from harness.wire import Cut, WebSocket, frame, push

from . import AFTER, GROWN, at_most, attack


@attack("waiting-handlers", {GROWN: at_most(56), AFTER: at_most(32)})
def waiting_handlers(attempt):
    """A client sends events of 990 kB whose handler asks it something and waits 5 s for the ack: as many as it can in 4 s, at most 150
    (full: 8 s, 1 024). It reads, but never answers. The events of waiting handlers must be limited in bytes."""
    client = attempt.keep(WebSocket(attempt.port))
    questions = 0

    def read():
        nonlocal questions
        with contextlib.suppress(OSError, Cut):
            while True:
                message = client.receive()
                if message == b"2":
                    client.send("3")
                questions += message.startswith(b"42") and b'"question"' in message[:30]

    threading.Thread(target=read, daemon=True).start()
    event = frame(b'42["ask","' + b"x" * 990_000 + b'"]')
    asked, began = 0, time.monotonic()
    # One event at a time: a handler whose question cannot be queued would fail instead of waiting.
    while asked < attempt.size(150, 1024) and time.monotonic() - began < attempt.size(4, 8):
        if asked > questions:
            time.sleep(0.001)
            continue
        sent = push(client.link, event, stuck_after=4)
        attempt.sent(sent)
        asked += 1
        if sent < len(event):
            break
    time.sleep(0.2)
    attempt.fact("handlers waiting at the same time", questions)
