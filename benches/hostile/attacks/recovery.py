"""Attacks on connection state recovery: forged and repeated claims, claims that race, and a store that is full."""

import contextlib
import json
import threading
import time

from harness.wire import Cut, WebSocket, close, frame, push

from . import AFTER, GROWN, at_most, attack, exactly

RECOVERY = {"recovery": None}


def claim(pid, offset):
    return json.dumps({"pid": pid, "offset": offset})


def offset_of(message):
    """The offset of an event: its last argument."""
    return json.loads(message[2:])[-1]


class Lost:
    """A client of recovery. It can be lost: its connection ends without a word."""

    def __init__(self, attempt, **options):
        self.attempt = attempt
        self.socket = WebSocket(attempt.port, **options)
        self.id, self.pid, self.offset = self.socket.connected["sid"], self.socket.connected.get("pid"), None

    def read_offset(self):
        """Asks for an event, because its offset is needed."""
        self.socket.send('42["message",1]')
        while not (message := self.socket.receive()).startswith(b'42["message-back"'):
            pass
        self.offset = offset_of(message)

    def lose(self):
        close(self.socket)


def returns(attempt, pid, offset, wanted, **options):
    """Claims a former socket. Returns the WebSocket, and whether it is that socket."""
    socket = attempt.keep(WebSocket(attempt.port, socketio=False, **options))
    socket.send("40" + claim(pid, offset))
    while not (message := socket.receive()).startswith(b"40{"):
        pass
    return socket, json.loads(message[2:])["sid"] == wanted


@attack("forged-claims", {"recovered": exactly(0), GROWN: at_most(40), AFTER: at_most(24)}, RECOVERY)
def forged_claims(attempt):
    """With recovery: a socket is lost. 3 000 claims (full: 15 000) have its offset and another pid, its pid and another offset, pids and
    offsets of 100 KB, of another type, and its pid and offset in another namespace. No claim may be recovered."""
    lost = Lost(attempt)
    lost.read_offset()
    lost.lose()
    time.sleep(0.3)
    recovered = 0
    forged = [
        ("/", "x" * 16, lost.offset),
        ("/", lost.pid[:-1] + ("a" if lost.pid[-1] != "a" else "b"), lost.offset),
        ("/", "x" * 100_000, lost.offset),
        ("/", [lost.pid], lost.offset),
        ("/", {"$ne": None}, {"$gt": ""}),
        ("/", None, None),
        ("/custom", lost.pid, lost.offset),
        ("/", lost.id, lost.offset),
        ("/", lost.offset, lost.pid),
        ("/", "../" * 5, "\u0000" * 16),
    ]
    client = attempt.keep(WebSocket(attempt.port, socketio=False))
    for turn in range(attempt.size(300, 1_500)):
        for name, pid, offset in forged:
            prefix = "" if name == "/" else f"{name},"
            data = f"40{prefix}{claim(pid, offset)}"
            if len(data) > 90_000 and turn > 30:
                continue
            client.send(data)
            attempt.sent(len(data))
            while not (message := client.receive()).startswith(f"40{prefix}{{".encode()):
                pass
            recovered += json.loads(message[len(f"40{prefix}") :])["sid"] == lost.id
            client.send(f"41{prefix}")
    # Last, because a wrong offset may use the claim up.
    _, again = returns(attempt, lost.pid, "x" * 16, lost.id)
    attempt.fact("recovered", recovered + again)


@attack("racing-claims", {"recovered, of 40 sockets": exactly(40), "recovered twice": exactly(0), GROWN: at_most(24)}, RECOVERY)
def racing_claims(attempt):
    """With recovery: 40 sockets are lost, one after the other, and each is claimed by 20 clients at the same time. One of them must get it."""
    once, twice = 0, 0
    for _ in range(40):
        lost = Lost(attempt)
        lost.read_offset()
        sockets = [WebSocket(attempt.port, socketio=False) for _ in range(20)]
        lost.lose()
        time.sleep(0.1)
        data = frame(("40" + claim(lost.pid, lost.offset)).encode())
        for socket in sockets:
            socket.link.sendall(data)
        attempt.sent(20 * len(data))
        winners = 0
        for socket in sockets:
            with contextlib.suppress(OSError, Cut):
                while not (message := socket.receive()).startswith(b"40{"):
                    pass
                winners += json.loads(message[2:])["sid"] == lost.id
        for socket in sockets:
            # Leaves, so that nothing is kept of it.
            with contextlib.suppress(OSError):
                socket.send("41")
            close(socket)
        once += winners >= 1
        twice += winners > 1
    attempt.fact("recovered, of 40 sockets", once)
    attempt.fact("recovered twice", twice)


@attack("recovery-store", {GROWN: at_most(72), AFTER: at_most(56)}, RECOVERY)
def recovery_store(attempt):
    """With recovery: a socket is lost, so that packets are kept. A client broadcasts 60 000 events of 1 kB (full: 300 000) and reads them.
    The packets that are kept are limited to 16 MiB."""
    lost = Lost(attempt)
    lost.read_offset()
    lost.lose()
    client = attempt.keep(WebSocket(attempt.port))
    threading.Thread(target=read_all, args=[client], daemon=True).start()
    data = frame(b'42["broadcast","' + b"x" * 1000 + b'"]') * 100
    for _ in range(attempt.size(600, 3_000)):
        attempt.sent(push(client.link, data, stuck_after=5))
    time.sleep(0.5)
    _, back = returns(attempt, lost.pid, lost.offset, lost.id)
    attempt.fact("recovered although packets were dropped", int(back))


@attack("lost-sockets", {GROWN: at_most(64), AFTER: at_most(56)}, RECOVERY)
def lost_sockets(attempt):
    """With recovery: 3 000 sockets (full: 15 000) join ten rooms with names of 1 kB and are lost. They are limited to 16 MiB."""
    rooms = b"".join(frame(f'42["join","{number}-{"x" * 1000}"]'.encode()) for number in range(10))
    for _ in range(attempt.size(3_000, 15_000)):
        lost = Lost(attempt)
        lost.socket.link.sendall(rooms)
        attempt.sent(len(rooms))
        for _ in range(10):
            while not lost.socket.receive().startswith(b'42["joined"'):
                pass
        lost.lose()


@attack("repeated-claims", {GROWN: at_most(72), AFTER: at_most(48)}, RECOVERY)
def repeated_claims(attempt):
    """With recovery: 20 sockets are lost while 8 MB are broadcast. Each returns 10 times with its first offset, so that it misses all of it
    each time, and never reads."""
    lost = []
    for _ in range(20):
        client = Lost(attempt)
        client.read_offset()
        lost.append(client)
    for client in lost:
        client.lose()
    time.sleep(0.3)
    client = attempt.keep(WebSocket(attempt.port))
    threading.Thread(target=read_all, args=[client], daemon=True).start()
    attempt.sent(push(client.link, frame(b'42["broadcast","' + b"x" * 10_000 + b'"]') * 800, stuck_after=5))
    time.sleep(1)
    recovered = 0
    for _ in range(10):
        again = []
        for client in lost:
            with contextlib.suppress(OSError, Cut):
                socket, back = returns(attempt, client.pid, client.offset, client.id, receive_buffer=65_536)
                recovered += back
                again.append(socket)
        for socket in again:
            close(socket)
        time.sleep(0.2)
    attempt.fact("recovered, of 200 claims", recovered)


def read_all(client):
    with contextlib.suppress(OSError, Cut):
        while True:
            client.reader.more()
            client.reader.kept = b""
