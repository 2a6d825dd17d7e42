"""Attacks by not reading: HTTP replies, a WebSocket's events."""

import contextlib
import time

from harness.wire import Cut, Polling, WebSocket, connect, frame, push, request

from . import AFTER, GROWN, LOG, at_most, attack, exactly

# How long a reply that nobody reads may outlive its session: five seconds more than our servers give a peer by default to take the next
# 64 KiB of it.
GRACE = 25


def fill(attempt, session, rounds):
    """POSTs whose echoes wait, then a GET on a fresh connection that takes them and is not read; as often as the server takes part."""
    event = b'42["message","' + b"x" * 990_000 + b'"]'
    for done in range(rounds):
        for _ in range(8):
            try:
                status, _, _ = session.post(event)
            except (OSError, Cut):
                return done
            if status != 200:
                return done
            attempt.sent(len(event))
        with contextlib.suppress(OSError):
            link = attempt.keep(connect(attempt.port, receive_buffer=4096))
            # The last request there: a connection whose reply has found room in the system's buffers would wait for the next one.
            link.sendall(request("GET", session.query, headers=["Connection: close"]))
            # A second GET beside one that waits would end the session.
            time.sleep(0.02)
    return rounds


def ended(attempt, sessions):
    """Ends the sessions, and says when the server has let go of their connections."""
    for session in sessions:
        with contextlib.suppress(OSError, Cut):
            session.post(b"1")
        session.close()
    took = attempt.wait_for(lambda: attempt.sockets() == 0, GRACE)
    attempt.fact("seconds until all were closed", took)
    attempt.fact(f"sockets held {GRACE} s after the session's end", attempt.sockets())


BOUNDS = {
    # What may wait to be sent (16 MiB), what was read and not yet handled, buffers of the replies.
    GROWN: at_most(56),
    AFTER: at_most(40),
    f"sockets held {GRACE} s after the session's end": exactly(0),
}


@attack("unread-replies", BOUNDS)
def unread_replies(attempt):
    """A polling session's large events are echoed; GETs on fresh connections take the echoes, 8 MB each, and are never read: 15 of them
    (full: 65). Then the session closes."""
    session = Polling(attempt.port)
    attempt.fact("replies asked for", fill(attempt, session, attempt.size(15, 65)))
    # One more is the session's own.
    attempt.fact("sockets held by the replies", max(0, attempt.sockets() - 1))
    ended(attempt, [session])


@attack("unread-replies-of-many", {fact: bound for fact, bound in BOUNDS.items() if fact != GROWN})
def unread_replies_of_many(attempt):
    """The same with 10 sessions, one after the other, each of which closes when it has left two such replies: what they leave must end as
    well. (What lies unread at one time is only bounded by their rate.)"""
    for _ in range(attempt.size(10, 30)):
        session = Polling(attempt.port)
        fill(attempt, session, 2)
        with contextlib.suppress(OSError, Cut):
            session.post(b"1")
        session.close()
    ended(attempt, [])


@attack("log-flood", {LOG: at_most(65_536), GROWN: at_most(56)}, program="logged")
def log_flood(attempt):
    """A client does not read while its small events are echoed: when its queue is full, every `emit` fails. It sends 8 MB in 4 s (full:
    46 MB)."""
    client = attempt.keep(WebSocket(attempt.port, receive_buffer=4096))
    # First what fills the queue, then what is cheap to send.
    attempt.sent(push(client.link, frame(b'42["message","' + b"x" * 900_000 + b'"]') * 24, stuck_after=2))
    small = frame(b'42["message",1]') * 10_000
    ends, limit = time.monotonic() + attempt.size(4, 15), attempt.size(8, 46) * 1_000_000
    count = 0
    while time.monotonic() < ends and count < limit:
        sent = push(client.link, small, stuck_after=1)
        count += sent
        attempt.sent(sent)
        if sent < len(small):
            break
    time.sleep(0.5)
    attempt.fact("bytes of small events", count)
