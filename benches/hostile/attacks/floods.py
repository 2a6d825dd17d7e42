"""Floods: packets that are cheap to send, and make the server buffer or answer something."""

import contextlib
import threading
import time

from harness.wire import Cut, Polling, WebSocket, connect, frame, push, request

from . import AFTER, GROWN, at_most, attack, exactly

# The outbound queue (16 MiB), input that was read but not handled, and buffers.
UNREAD = {GROWN: at_most(56), AFTER: at_most(24)}


def unread(attempt, data, count):
    client = attempt.keep(WebSocket(attempt.port, receive_buffer=4096))
    attempt.sent(push(client.link, data * count, stuck_after=2))
    time.sleep(1)


@attack("ping-flood", {GROWN: at_most(24), AFTER: at_most(16)})
def ping_flood(attempt):
    """A WebSocket client never reads and sends 100 000 WebSocket pings of 125 bytes (full: 500 000)."""
    unread(attempt, frame(b"p" * 125, opcode=9), attempt.size(100_000, 500_000))


@attack("ack-flood", UNREAD)
def ack_flood(attempt):
    """A client never reads and sends 40 000 events of 1 kB that are acked with their arguments (full: 200 000)."""
    unread(attempt, frame(b'421["message-with-ack","' + b"x" * 1000 + b'"]'), attempt.size(40_000, 200_000))


@attack("refusal-flood", UNREAD)
def refusal_flood(attempt):
    """A client never reads and sends CONNECT for an unknown namespace 300 000 times (full: 1 500 000). Each one is refused."""
    unread(attempt, frame(b"40/nowhere,"), attempt.size(300_000, 1_500_000))


@attack("join-churn", {GROWN: at_most(24), AFTER: at_most(16)})
def join_churn(attempt):
    """A client joins and leaves a namespace 20 000 times (full: 100 000), and reads everything. Nothing may remain of a socket."""
    client = attempt.keep(WebSocket(attempt.port))
    threading.Thread(target=read_all, args=[client], daemon=True).start()
    attempt.sent(push(client.link, (frame(b"40/custom,") + frame(b"41/custom,")) * attempt.size(20_000, 100_000), stuck_after=3))
    time.sleep(1)


@attack("promised-attachments", {GROWN: at_most(40), AFTER: at_most(16)})
def promised_attachments(attempt):
    """A client announces 70 attachments and sends 66 of 900 kB each, 59 MB in total. The event is never complete."""
    client = attempt.keep(WebSocket(attempt.port))
    arguments = ",".join(f'{{"_placeholder":true,"num":{index}}}' for index in range(70))
    data = frame(f'570-["message",{arguments}]'.encode()) + frame(b"b" * 900_000, opcode=2) * 66
    attempt.sent(push(client.link, data, stuck_after=2))
    time.sleep(0.5)


@attack("namespaces-on-demand", {GROWN: at_most(56), "namespaces joined": at_most(10_000)})
def namespaces_on_demand(attempt):
    """200 clients join 128 namespaces each that the server makes on demand, with names of 500 bytes, and one client joins and leaves 20 000
    more (full: 100 000). Then all disconnect, and nothing removes the namespaces: their number must be limited."""
    joined = 0
    for number in range(200):
        client = attempt.keep(WebSocket(attempt.port))
        names = [f"/dynamic-{number}-{index}-{'x' * 480}" for index in range(128)]
        # Only some may be pending at the same time.
        for first in range(0, 128, 8):
            data = b"".join(frame(f"40{name},".encode()) for name in names[first : first + 8])
            attempt.sent(push(client.link, data, stuck_after=3))
            answers = 0
            with contextlib.suppress(OSError, Cut):
                while answers < 8:
                    message = client.receive()
                    answers += message[:2] in (b"40", b"44")
                    joined += message[:2] == b"40"
    client = attempt.keep(WebSocket(attempt.port))
    threading.Thread(target=read_all, args=[client], daemon=True).start()
    names = (f"/dynamic-{index}-{'y' * 480}," for index in range(attempt.size(20_000, 100_000)))
    attempt.sent(push(client.link, b"".join(frame(f"40{name}".encode()) + frame(f"41{name}".encode()) for name in names), stuck_after=3))
    attempt.fact("namespaces joined", joined)


def read_all(client):
    with contextlib.suppress(OSError, Cut):
        while True:
            client.reader.more()
            client.reader.kept = b""


SHORT = {"ping-interval": 300, "ping-timeout": 200}


@attack("handshake-flood", {GROWN: at_most(32), "sessions left of 200": exactly(0)}, SHORT)
def handshake_flood(attempt):
    """2 000 handshakes over polling (full: 10 000) without further requests. Ping interval 300 ms, timeout 200 ms. The sessions must
    end."""
    sids, data = [], request("GET")
    first = Polling(attempt.port, socketio=False)
    for _ in range(attempt.size(2_000, 10_000)):
        _, _, body = first.ask(data)
        attempt.sent(len(data))
        sids.append(body.split(b'"sid":"')[1].split(b'"')[0].decode())
    attempt.fact("memory growth per session at the end, B", max(0, attempt.server.memory() - attempt.before) // len(sids))
    time.sleep(2)
    left = sum(first.ask(request("GET", f"&sid={sid}"))[0] == 200 for sid in sids[-200:])
    attempt.fact("sessions left of 200", left)
    first.close()


@attack("pipelined-handshakes", {GROWN: at_most(48)}, SHORT)
def pipelined_handshakes(attempt):
    """One connection sends 30 000 handshakes (full: 300 000) and reads no response. Ping interval 300 ms, timeout 200 ms."""
    link = attempt.keep(connect(attempt.port, receive_buffer=4096))
    attempt.sent(push(link, request("GET") * attempt.size(30_000, 300_000), stuck_after=2))
    time.sleep(1)


HALF = {"memory growth after their end, MB": at_most(24), "open sockets after 17 s": exactly(0)}


@attack("half-frames", HALF, {"ping-interval": 2500, "ping-timeout": 2000})
def half_frames(attempt):
    """Ping interval 2.5 s, timeout 2 s. 60 WebSockets announce a message of 990 kB, send 900 kB of it, and then nothing. Their sessions
    must end and release their buffers, and the connections must be closed."""
    data = frame(b"4" + b"x" * 900_000, length=990_000)
    for _ in range(60):
        client = attempt.keep(WebSocket(attempt.port))
        attempt.sent(push(client.link, data, stuck_after=2))
    time.sleep(6.5)
    attempt.fact("memory growth after their end, MB", max(0, attempt.server.memory() - attempt.before) / 1e6)
    took = attempt.wait_for(lambda: attempt.sockets() == 0, 10.5)
    attempt.fact("seconds until all were closed", took and took + 6.5)
    attempt.fact("open sockets after 17 s", attempt.sockets())


@attack("honest-pipeline", {"events lost": exactly(0), GROWN: at_most(56)})
def honest_pipeline(attempt):
    """Not an attack: a client keeps twelve events of 500 kB in flight, 200 in total, and reads the echoes as fast as it can. None may be
    lost, because at most 6 MB are ever queued."""
    client = attempt.keep(WebSocket(attempt.port))
    echoes = 0

    def read():
        nonlocal echoes
        with contextlib.suppress(OSError, Cut):
            while True:
                message = client.receive()
                if message == b"2":
                    client.send("3")
                echoes += message.startswith(b'42["message-back"')

    threading.Thread(target=read, daemon=True).start()
    event = frame(b'42["message","' + b"x" * 500_000 + b'"]')
    sent, lost, progress, ends = 0, 0, time.monotonic(), time.monotonic() + 8
    while sent < 200 and time.monotonic() < ends:
        under_way = sent - lost - echoes
        if under_way < 12:
            attempt.sent(push(client.link, event, stuck_after=5))
            sent, progress = sent + 1, time.monotonic()
        elif time.monotonic() - progress > 0.5:
            # Do not wait forever for lost events.
            lost += under_way
        else:
            time.sleep(0.001)
    attempt.wait_for(lambda: echoes == sent, 2)
    attempt.fact("events sent", sent)
    attempt.fact("events lost", sent - echoes)
