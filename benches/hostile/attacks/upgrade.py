"""Attacks on the upgrade from polling to WebSocket."""

import threading
import time

from harness.wire import Cut, Polling, WebSocket, frame, push

from . import AFTER, GROWN, at_most, attack

BOUNDS = {
    # The limits of the session, and buffers.
    GROWN: at_most(24),
    AFTER: at_most(16),
}


def flood(attempt, hold_get):
    session = attempt.keep(Polling(attempt.port))
    stop = threading.Event()

    def hold():
        try:
            while not stop.is_set():
                session.get()
        except (OSError, Cut):
            pass

    if hold_get:
        threading.Thread(target=hold, daemon=True).start()
        time.sleep(0.1)
    began = time.monotonic()
    probe = attempt.keep(WebSocket(attempt.port, sid=session.sid, receive_buffer=4096))
    # The kernel buffers about 4 MB of unread answers, which are 400 000. Only then does the server have to buffer them.
    probes = attempt.size(1_000_000, 1_500_000)
    attempt.sent(push(probe.link, frame(b"2probe") * probes, stuck_after=2))
    # Wait for the upgrade timeout of the server, then continue.
    timeout = attempt.server.settings.get("upgrade-timeout", 10_000) / 1000
    time.sleep(max(0.0, began + timeout + 0.3 - time.monotonic()))
    attempt.sent(push(probe.link, frame(b"6") * 30_000, stuck_after=1))
    time.sleep(0.5)
    stop.set()
    # The honest client detects a stall that continues without the attacker.
    attempt.let_go()
    time.sleep(1)


@attack("probe-flood", BOUNDS, {"upgrade-timeout": 3000})
def probe_flood(attempt):
    """The WebSocket probe of a polling session never reads (receive buffer 4 KiB) and sends `2probe` 1 000 000 times (full: 1 500 000).
    After the upgrade timeout it sends 30 000 packets of `6`. No GET is held."""
    flood(attempt, hold_get=False)


@attack("probe-flood-get", BOUNDS, {"upgrade-timeout": 3000})
def probe_flood_get(attempt):
    """The same with a GET of the session held, and renewed whenever it is answered."""
    flood(attempt, hold_get=True)
