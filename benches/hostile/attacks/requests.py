"""Attacks with HTTP requests: refused and incomplete ones, huge and odd heads, preflights, and half-closed connections."""

import contextlib
import threading
import time

from harness.wire import Cut, Polling, Reader, WebSocket, ask, connect, push, request, send_and_end

from . import AFTER, GROWN, at_most, attack, exactly

UNKNOWN = "&sid=AAAAAAAAAAAAAAAAAAAA"


def in_pieces(port, head, size, patience=5):
    """Sends a request as a proxy or a slow line does: the head, and a moment later the body. Returns the status of the response, or the
    error."""
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


NOBODY = "complete responses to 20 KB for an unknown sid, of 100"
TOO_LARGE = "complete 413 responses to 1 000 001 bytes, of 20"
OTHERS = "complete responses to other refusals, of 50"


@attack("refused-posts", {NOBODY: exactly(100), TOO_LARGE: exactly(20), OTHERS: exactly(50)})
def refused_posts(attempt):
    """One client sends 100 POSTs of 20 KB to an unknown sid, head first, as a proxy does. Others send 20 POSTs of 1 000 001 bytes to their
    session. Others send 20 KB with a PUT, without a sid, with an unknown transport, with an unknown revision, and while another POST is
    pending. Every refusal must be received without a connection reset (behind nginx, a reset becomes a 502 and affects other clients)."""
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


@attack("refused-heads", {"open sockets after 6 s": at_most(5), GROWN: at_most(32)})
def refused_heads(attempt):
    """500 connections send the head of a POST that is refused and announces a body of 1 GB: half for an unknown sid, half for a session.
    400 send nothing more, and 100 send a byte now and then. Refused requests must not keep sockets open."""
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
            attempt.fact("open sockets after 0.5 s", attempt.sockets())
    # The session itself has one more.
    attempt.fact("open sockets after 6 s", max(0, attempt.sockets() - 1))


LORIS = {"ping-interval": 2500, "ping-timeout": 2000}


@attack("loris", {"half bodies left after their sessions": at_most(5), GROWN: at_most(32)}, LORIS)
def loris(attempt):
    """Ping interval 2.5 s, timeout 2 s. 100 connections send nothing, 100 send half a head, and 100 send half a body, each to its own
    session, which ends meanwhile. Full: after 80 s, only the honest client may be connected."""
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
    attempt.fact("open sockets at first", attempt.sockets())
    # The 200 other connections belong to no session.
    attempt.wait_for(lambda: attempt.sockets() <= 200, 9)
    attempt.fact("half bodies left after their sessions", max(0, attempt.sockets() - 200))
    if attempt.full:
        took = attempt.wait_for(lambda: attempt.sockets() == 0, 80)
        attempt.fact("open sockets after 80 s more", attempt.sockets())
        attempt.fact("seconds until the last was closed", took)


@attack("huge-heads", {AFTER: at_most(16), GROWN: at_most(40)})
def huge_heads(attempt):
    """200 polling sessions, each with a header of 400 KB in its handshake, or the largest that the server accepts. Measures what the
    sessions keep of it."""

    def taken(size):
        try:
            return ask(attempt.port, request("GET", headers=["X-Fill: " + "x" * size]))[0] == 200
        except (OSError, Cut):
            return False

    size = next((size for size in (400_000, 200_000, 100_000, 60_000, 30_000, 15_000, 7_000, 3_000) if taken(size)), 0)
    attempt.fact("largest accepted header, KB", size // 1000)
    before = attempt.server.memory()
    sessions = []
    for _ in range(200):
        session = Polling(attempt.port, headers=["X-Fill: " + "x" * size])
        attempt.sent(size)
        # The buffers of the connection do not belong to the session.
        session.close()
        sessions.append(session)
    time.sleep(0.5)
    attempt.fact("memory per session, KB", (attempt.server.memory() - before) / 200 / 1000)
    attempt.fact("sessions alive of 200", sum(ask(attempt.port, request("POST", session.query, b"3"))[0] == 200 for session in sessions[:200]))


ODD_HEADS = {
    "complete responses, of 700": exactly(700),
    GROWN: at_most(40),
    AFTER: at_most(16),
}


@attack("odd-heads", ODD_HEADS)
def odd_heads(attempt):
    """100 handshakes each with: a cookie of 60 KB; 90 cookies; 90 headers; 2 000 headers; a cookie of odd bytes; a query of 60 KB; and the same
    header 50 times with each byte that is no control character. Every response must be complete, whatever its status."""
    odd = bytes(byte for byte in range(32, 256) if byte != 127).decode("latin-1")
    heads = {
        "a cookie of 60 KB": ("", ["Cookie: a=" + "x" * 60_000]),
        "90 cookies": ("", [f"Cookie: a{index}={index}; b={'%41' * 20}" for index in range(90)]),
        "90 headers": ("", [f"X-{index}: {index}" for index in range(90)]),
        "2 000 headers": ("", [f"X-{index}: {index}" for index in range(2_000)]),
        "an odd cookie": ("", [f"Cookie: {odd}=;;;=;=a; =; a=\"b; c={odd}"]),
        "a query of 60 KB": ("&" + "a=%F0%9F%98%80&%00=%" * 3_000, []),
        "the same header": ("", [f"X-Odd: {odd}"] * 50),
    }
    complete, accepted = 0, {}
    for name, (query, headers) in heads.items():
        data = request("GET", query).decode().replace("\r\n\r\n", "\r\n" + "".join(f"{header}\r\n" for header in headers) + "\r\n").encode("latin-1")
        for _ in range(100):
            attempt.sent(len(data))
            with contextlib.suppress(OSError, Cut):
                status = ask(attempt.port, data)[0]
                complete += 1
                accepted[name] = accepted.get(name, 0) + (status == 200)
    attempt.fact("complete responses, of 700", complete)
    attempt.remark(f"accepted: {accepted}")


@attack("preflight-flood", {GROWN: at_most(48), AFTER: at_most(24)}, {"cors": None})
def preflight_flood(attempt):
    """With CORS: ten connections send 3 000 preflights each (full: 30 000) with 4 KB of header names, each from another origin, and read no
    response. Then one sends 2 000 and reads them."""
    names = ", ".join(f"x-header-{index}" for index in range(250))

    def preflight(number):
        headers = [f"Origin: http://{number}.example", "Access-Control-Request-Method: POST", f"Access-Control-Request-Headers: {names}"]
        return request("OPTIONS", headers=headers)

    for index in range(10):
        link = attempt.keep(connect(attempt.port, receive_buffer=4096))
        data = b"".join(preflight(number) for number in range(100))
        attempt.sent(push(link, data * attempt.size(30, 300), stuck_after=2))
    link = attempt.keep(connect(attempt.port))
    reader = Reader(link)
    answered = 0
    with contextlib.suppress(OSError, Cut):
        for number in range(2_000):
            data = preflight(number)
            link.sendall(data)
            attempt.sent(len(data))
            answered += reader.response()[0] == 204
    attempt.fact("preflights answered, of 2 000", answered)


FORWARDED = {GROWN: at_most(40), AFTER: at_most(16), "complete responses, of 700": exactly(700)}


@attack("forwarded-for", FORWARDED, {"proxies": 1}, program="logged")
def forwarded_for(attempt):
    """The server trusts one proxy. 100 handshakes each with an `X-Forwarded-For` of 5 000 and of 2 500 addresses, one of 30 KB of commas, one of 30 KB
    that is no address, 90 headers of it, one of odd bytes, and an empty one. Every response must be complete, and the log stays short."""
    values = [
        [",".join(f"10.0.{index // 256}.{index % 256}" for index in range(2_500)), ", ".join(["::1"] * 2_500)],
        [", ".join(["::1"] * 2_500)],
        ["," * 30_000],
        ["x" * 30_000],
        [f"10.0.0.{index}" for index in range(90)],
        ["\xff\xfe, [::, 1.2.3.4:99999999, \"unknown\""],
        [""],
    ]
    complete = 0
    for lines in values:
        head = "".join(f"X-Forwarded-For: {line}\r\n" for line in lines)
        data = request("GET").decode().replace("\r\n\r\n", f"\r\n{head}\r\n").encode("latin-1")
        for _ in range(100):
            attempt.sent(len(data))
            with contextlib.suppress(OSError, Cut):
                ask(attempt.port, data)
                complete += 1
    attempt.fact("complete responses, of 700", complete)


def half_closed(attempt, end, number):
    """Opens a session, and broadcasts an event with a POST after which the client half-closes or closes. Returns whether the POST was
    answered."""
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
    "handled events with shutdown, of 80": exactly(80),
    "answered POSTs with shutdown, of 80": exactly(80),
    "handled events with close, of 80": exactly(80),
    "answered handshakes with shutdown, of 80": exactly(80),
}


@attack("half-closed", HALF)
def half_closed_requests(attempt):
    """A client POSTs an event and ends its side at once with `shutdown(WR)` or `close()`, 80 times each. 80 times it does the same after a
    handshake. The requests are complete, so they must be handled, and answered if the client still reads."""
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
        attempt.fact(f"handled events with {end}, of 80", handled())
        if end == "shutdown":
            attempt.fact("answered POSTs with shutdown, of 80", answered)
    answered = 0
    for _ in range(80):
        with contextlib.suppress(OSError, Cut), contextlib.closing(connect(attempt.port, patience=5)) as link:
            send_and_end(link, request("GET"))
            answered += Reader(link).response()[0] == 200
    attempt.fact("answered handshakes with shutdown, of 80", answered)
