"""Deadlines: who must be kept, and who must not."""

import contextlib
import json
import selectors
import subprocess
import threading
import time

from harness.proxy import Slow
from harness.servers import HERE
from harness.wire import Cut, Polling, WebSocket, ask, request

from . import AFTER, GROWN, STALL, SURVIVED, at_least, at_most, attack, exactly


def serve_pings(clients, seconds):
    """Answers every ping for so long. The clients that are still there."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.link, selectors.EVENT_READ, client)
    ends, gone = time.monotonic() + seconds, set()
    while (left := ends - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            try:
                while True:
                    if key.data.receive() == b"2":
                        key.data.send("3")
                    if not key.data.reader.kept:
                        break
            except (Cut, OSError):
                selector.unregister(key.fileobj)
                gone.add(key.data)
    return [client for client in clients if client not in gone]


PAUSE = {"ping-interval": 3000, "ping-timeout": 2000}


@attack("pause", "19", {"of 50 clients, kept": exactly(50), STALL: at_most(10_000)}, PAUSE)
def pause(attempt):
    """Ping interval 3 s, timeout 2 s. 50 clients on WebSockets got a ping; the server is stopped (SIGSTOP) for 4 s, within which their pongs
    come to its sockets. They answered in time, and are kept."""
    clients = [attempt.keep(WebSocket(attempt.port)) for _ in range(50)]
    for client in clients:
        while client.receive() != b"2":
            pass
    stopped = threading.Thread(target=attempt.server.pause, args=[4])
    stopped.start()
    time.sleep(0.2)
    for client in clients:
        client.send("3")
    stopped.join()
    kept = serve_pings(clients, 4)
    # Echoes say that a session lives, not only its connection.
    alive = 0
    for client in kept:
        with contextlib.suppress(Cut, OSError):
            client.send('42["message","here"]')
            while not (message := client.receive()).startswith(b'42["message-back"'):
                if message == b"2":
                    client.send("3")
            alive += 1
    attempt.fact("of 50 clients, kept", alive)


@attack("silent-poller", "A4", {"of 20 silent sessions, left": exactly(0)}, {"ping-interval": 300, "ping-timeout": 200})
def silent_poller(attempt):
    """Ping interval 300 ms, timeout 200 ms. 20 sessions send GETs all the time and never a pong: a GET answers no ping, and does not put the
    end off. 30 more come back with their first GET after 1 s: they are gone."""
    sessions = [Polling(attempt.port, socketio=False) for _ in range(20)]
    late = [Polling(attempt.port, socketio=False) for _ in range(30)]
    ends, left = time.monotonic() + 2, list(sessions)
    late_at, late_alive = time.monotonic() + 1, None
    while time.monotonic() < ends and left:
        for session in list(left):
            with contextlib.suppress(OSError, Cut):
                session.link.settimeout(1)
                if session.get()[0] == 200:
                    continue
            left.remove(session)
    attempt.fact("of 20 silent sessions, left", len(left))
    time.sleep(max(0.0, late_at - time.monotonic()))
    late_alive = sum(session.get()[0] == 200 for session in late)
    attempt.fact("of 30 late sessions, left", late_alive)
    for session in sessions + late:
        session.close()


BUSY = {"ping-interval": 2500, "ping-timeout": 2000}


def official_client(attempt, port, transport, event, answer, count, size, seconds, *more):
    command = ["node", str(HERE / "node/client.js"), port, transport, event, answer, count, size, seconds, *more]
    out = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds + 10, check=True)
    report = json.loads(out.stdout)
    attempt.sent(count * size)
    attempt.fact("client kept", int(report["disconnected"] is None))
    attempt.fact("answers", report["answers"])
    attempt.fact("ended after, ms", report["after_ms"])
    if report["disconnected"]:
        attempt.remark(f"the official client says: {report['disconnected']}")


def backlog(attempt, transport):
    count, rate = attempt.size(22, 22), 2_000_000
    with Slow(attempt.port, rate) as proxy:
        official_client(attempt, proxy.port, transport, "message", "message-back", count, 900_000, 45)


BACKLOG = {"client kept": exactly(1), "answers": exactly(22), GROWN: at_most(56)}


@attack("backlog", "22", BACKLOG, BUSY)
def backlog_websocket(attempt):
    """Ping interval 2.5 s, timeout 2 s. The official client emits 20 MB at once over a line of 2 MB/s, where all of it comes back: its pongs lie
    behind the backlog. It is honest, and kept."""
    backlog(attempt, "websocket")


@attack("backlog-polling", "22", BACKLOG, BUSY)
def backlog_polling(attempt):
    """The same over polling."""
    backlog(attempt, "polling")


SLOW = {"client kept": exactly(1), "answers": exactly(4)}


@attack("slow-handler", "22", SLOW, {"ping-interval": 1000, "ping-timeout": 800}, program="logged")
def slow_handler(attempt):
    """Four events of 100 kB go into a `recv` loop that takes 3 s for each (full: 8 s), with a ping interval of 1 s and a timeout of 0.8 s: the
    official client is kept."""
    takes = attempt.size(3, 8)
    official_client(attempt, attempt.port, "websocket", "slow", "slow-done", 4, 100_000, takes * 4 + 10, takes * 1000)
