"""Attacks with HTTP requests: refused ones, huge heads, half ones, ends at the wrong moment."""

import contextlib
import threading
import time

from harness.wire import Cut, Polling, Reader, WebSocket, ask, connect, request, send_and_end

from . import AFTER, GROWN, at_most, attack, exactly

UNKNOWN = "&sid=AAAAAAAAAAAAAAAAAAAA"


def in_pieces(port, head, size, patience=5):
    """A request as a proxy or a slow line sends it: the head, a moment later the body. The status of its answer, or what went wrong."""
    link = connect(port, patience=patience)
    try:
        link.sendall(head)
        left, piece = size, b"x" * (8192 if size < 100_000 else 65_536)
        while left:
            time.sleep(0.003 if size < 100_000 else 0.0005)
            link.sendall(piece[:left])
            left -= min(left, len(piece))
        return Reader(link).response()[0]
    except TimeoutError:
        return "no answer"
    except (OSError, Cut):
        return "reset"
    finally:
        link.close()


NOBODY = "of 100 answers to 20 KB for nobody, whole"
TOO_LARGE = "of 20 answers to 1 000 001 bytes, 413 and whole"
OTHERS = "of 50 answers to other refusals, whole"


@attack("refused-posts", {NOBODY: exactly(100), TOO_LARGE: exactly(20), OTHERS: exactly(50)})
def refused_posts(attempt):
    """One client POSTs 20 KB to an unknown sid 100 times, head first, as a proxy does; others POST 1 000 001 bytes to their session 20 times; and
    20 KB come with a PUT, without a sid, with an unknown transport, with an unknown revision, and while another POST is under way. Every
    refusal must be received, and no connection reset under it (behind nginx that is a 502, and other clients suffer)."""
    answers = [in_pieces(attempt.port, request("POST", UNKNOWN, length=20_000), 20_000) for _ in range(100)]
    attempt.sent(2_000_000)
    attempt.fact(NOBODY, answers.count(400))
    answers = []
    for _ in range(20):
        session = Polling(attempt.port)
        answers.append(in_pieces(attempt.port, request("POST", session.query, length=1_000_001), 1_000_001))
        attempt.sent(1_000_001)
        session.close()
    attempt.fact(TOO_LARGE, answers.count(413))
    refusals = []
    for _ in range(10):
        session = Polling(attempt.port)
        heads = [
            request("PUT", session.query, length=20_000),
            request("POST", length=20_000),
            request("POST", session.query, length=20_000).replace(b"transport=polling", b"transport=pigeon"),
            request("POST", session.query, length=20_000).replace(b"EIO=4", b"EIO=9"),
        ]
        refusals += [in_pieces(attempt.port, head, 20_000) for head in heads]
        other = attempt.keep(connect(attempt.port))
        other.sendall(request("POST", session.query, length=100))
        time.sleep(0.02)
        refusals.append(in_pieces(attempt.port, request("POST", session.query, length=20_000), 20_000))
        session.close()
    attempt.sent(1_000_000)
    attempt.fact(OTHERS, sum(isinstance(answer, int) and answer >= 400 for answer in refusals))


@attack("refused-heads", {"sockets held after 6 s": at_most(5), GROWN: at_most(32)})
def refused_heads(attempt):
    """500 connections send the head of a POST that is refused, which announces a body of 1 GB: half for an unknown sid, half for a session. 400 send
    nothing more, 100 a byte now and then. Refusals hold no sockets."""
    session = attempt.keep(Polling(attempt.port))
    links = []
    for index in range(500):
        link = attempt.keep(connect(attempt.port))
        data = request("POST", UNKNOWN if index % 2 else session.query, length=1_000_000_000)
        link.sendall(data)
        attempt.sent(len(data))
        links.append(link)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < 6 and (passed < 1 or attempt.sockets() > 1):
        for link in links[::5]:
            with contextlib.suppress(OSError):
                link.send(b"x")
        time.sleep(0.25)
        if passed < 0.5:
            attempt.fact("sockets held after 0.5 s", attempt.sockets())
    # One more is the session's own.
    attempt.fact("sockets held after 6 s", max(0, attempt.sockets() - 1))


LORIS = {"ping-interval": 2500, "ping-timeout": 2000}


@attack("loris", {"half bodies held after their sessions": at_most(5), GROWN: at_most(32)}, LORIS)
def loris(attempt):
    """Ping interval 2.5 s, timeout 2 s. 100 connections send nothing, 100 half a head, 100 half a body, each to a session of its own, which ends
    meanwhile. Full: 80 s later nobody but the quiet client is left."""
    for _ in range(100):
        attempt.keep(connect(attempt.port))
        half = attempt.keep(connect(attempt.port))
        half.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
    bodies = []
    for _ in range(100):
        session = Polling(attempt.port)
        session.close()
        link = attempt.keep(connect(attempt.port))
        link.sendall(request("POST", session.query, length=1000) + b"4" * 500)
        bodies.append(link)
    time.sleep(0.3)
    attempt.fact("sockets held at first", attempt.sockets())
    # 200 others are of no session.
    attempt.wait_for(lambda: attempt.sockets() <= 200, 9)
    attempt.fact("half bodies held after their sessions", max(0, attempt.sockets() - 200))
    if attempt.full:
        took = attempt.wait_for(lambda: attempt.sockets() == 0, 80)
        attempt.fact("sockets held after 80 s more", attempt.sockets())
        attempt.fact("seconds until the last was closed", took)


@attack("huge-heads", {AFTER: at_most(16), GROWN: at_most(40)})
def huge_heads(attempt):
    """200 sessions over polling, each with a header of 400 KB in its handshake, or the largest that the server takes: what they keep of it for
    their life."""

    def taken(size):
        try:
            return ask(attempt.port, request("GET", headers=["X-Fill: " + "x" * size]))[0] == 200
        except (OSError, Cut):
            return False

    size = next((size for size in (400_000, 200_000, 100_000, 60_000, 30_000, 15_000, 7_000, 3_000) if taken(size)), 0)
    attempt.fact("largest header taken, KB", size // 1000)
    before = attempt.server.memory()
    sessions = []
    for _ in range(200):
        session = Polling(attempt.port, headers=["X-Fill: " + "x" * size])
        attempt.sent(size)
        # The connection's buffers are not the session's.
        session.close()
        sessions.append(session)
    time.sleep(0.5)
    attempt.fact("kept for each session, KB", (attempt.server.memory() - before) / 200 / 1000)
    attempt.fact("of 200 sessions, alive", sum(ask(attempt.port, request("POST", session.query, b"3"))[0] == 200 for session in sessions[:200]))


def half_closed(attempt, end, number):
    """A session; then an event for everybody in a POST, behind which the client's side ends. Whether the POST was answered."""
    session = Polling(attempt.port, socketio=False)
    session.post(b"40")
    link = connect(attempt.port, patience=5)
    try:
        data = request("POST", session.query, f'42["broadcast",{number}]'.encode())
        send_and_end(link, data, whole=end == "close")
        if end == "close":
            return False
        return Reader(link).response()[0] == 200
    except (OSError, Cut):
        return False
    finally:
        link.close()
        session.close()


HALF = {
    "of 80 events with shutdown, handled": exactly(80),
    "of 80 POSTs with shutdown, answered": exactly(80),
    "of 80 events with close, handled": exactly(80),
    "of 80 handshakes with shutdown, answered": exactly(80),
}


@attack("half-closed", HALF)
def half_closed_requests(attempt):
    """A client POSTs an event and ends its side at once (`shutdown(WR)`, or `close()`), 80 times each; 80 times it does so behind a handshake.
    The request was complete: it is handled, and answered where somebody still reads."""
    observer = attempt.keep(WebSocket(attempt.port))
    seen = set()

    def observe():
        with contextlib.suppress(OSError, Cut):
            while True:
                message = observer.receive()
                if message == b"2":
                    observer.send("3")
                elif message.startswith(b'42["broadcast-back",'):
                    seen.add(int(message[20:].rstrip(b"]")))

    threading.Thread(target=observe, daemon=True).start()
    for first, end in ((0, "shutdown"), (1000, "close")):
        answered = sum(half_closed(attempt, end, first + number) for number in range(80))

        def handled(first=first):
            return sum(first <= number < first + 80 for number in list(seen))

        attempt.wait_for(lambda: handled() == 80, 1.5)
        attempt.fact(f"of 80 events with {end}, handled", handled())
        if end == "shutdown":
            attempt.fact("of 80 POSTs with shutdown, answered", answered)
    answered = 0
    for _ in range(80):
        with contextlib.suppress(OSError, Cut), contextlib.closing(connect(attempt.port, patience=5)) as link:
            send_and_end(link, request("GET"))
            answered += Reader(link).response()[0] == 200
    attempt.fact("of 80 handshakes with shutdown, answered", answered)
