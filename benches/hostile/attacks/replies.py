"""Attacks by clients that do not read: HTTP replies, and events on a WebSocket."""

import contextlib
import time

from harness.wire import Cut, Polling, WebSocket, connect, frame, push, request

from . import AFTER, GROWN, LOG, at_most, attack, exactly

# The time for which an unread reply may outlive its session: five seconds more than the default time in which a peer of our server must
# read the next 64 KiB of it.
GRACE = 25


def fill(attempt, session, rounds):
    """Sends POSTs whose echoes are queued, then a GET on a new connection that requests them and never reads. Repeats this `rounds` times,
    or until the server refuses. Returns the number of repetitions."""
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
            # The last request of the connection. Otherwise a connection whose reply fits into the kernel's buffers would stay open.
            link.sendall(request("GET", session.query, headers=["Connection: close"]))
            # A second GET while one is held would end the session.
            time.sleep(0.02)
    return rounds


def ended(attempt, sessions):
    """Ends the sessions, and reports when the server has closed their connections."""
    for session in sessions:
        with contextlib.suppress(OSError, Cut):
            session.post(b"1")
        session.close()
    took = attempt.wait_for(lambda: attempt.sockets() == 0, GRACE)
    attempt.fact("seconds until all were closed", took)
    attempt.fact(f"open sockets {GRACE} s after the session's end", attempt.sockets())


BOUNDS = {
    # The outbound queue (16 MiB), input that was read but not handled, and buffers of the replies.
    GROWN: at_most(56),
    AFTER: at_most(40),
    f"open sockets {GRACE} s after the session's end": exactly(0),
}


@attack("unread-replies", BOUNDS)
def unread_replies(attempt):
    """The large events of a polling session are echoed. GETs on 15 new connections (full: 65) request the echoes, 8 MB each, and never read
    them. Then the session closes."""
    session = Polling(attempt.port)
    attempt.fact("requested replies", fill(attempt, session, attempt.size(15, 65)))
    # The session itself has one more.
    attempt.fact("open sockets of the replies", max(0, attempt.sockets() - 1))
    ended(attempt, [session])


@attack("unread-replies-of-many", {fact: bound for fact, bound in BOUNDS.items() if fact != GROWN})
def unread_replies_of_many(attempt):
    """The same with 10 sessions one after the other. Each closes after leaving two such replies, which must be released as well. (The
    amount that is unread at one time is only limited by their rate.)"""
    for _ in range(attempt.size(10, 30)):
        session = Polling(attempt.port)
        fill(attempt, session, 2)
        with contextlib.suppress(OSError, Cut):
            session.post(b"1")
        session.close()
    ended(attempt, [])


@attack("log-flood", {LOG: at_most(65_536), GROWN: at_most(56)}, program="logged")
def log_flood(attempt):
    """A client does not read while its small events are echoed. Once its queue is full, every `emit` fails. It sends 8 MB in 4 s (full:
    46 MB)."""
    client = attempt.keep(WebSocket(attempt.port, receive_buffer=4096))
    # First fill the queue, then send cheap events.
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
