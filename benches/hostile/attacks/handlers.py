"""Attacks on handlers that wait."""

import contextlib
import threading
import time

from harness.wire import Cut, WebSocket, frame, push

from . import AFTER, GROWN, at_most, attack


@attack("waiting-handlers", "21", {GROWN: at_most(72), AFTER: at_most(48)})
def waiting_handlers(attempt):
    """A client sends events of 990 kB whose handler asks it something and waits 5 s for the ack, 150 of them (full: 1 024). It reads, and never
    answers: what waits with the handlers is limited by bytes."""
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
    for _ in range(attempt.size(150, 1024)):
        sent = push(client.link, event, stuck_after=4)
        attempt.sent(sent)
        if sent < len(event):
            break
    time.sleep(0.5)
    attempt.fact("questions asked", questions)
