"""Deadlines: which clients must stay connected, and which must not."""

import contextlib
import json
import selectors
import subprocess
import threading
import time

from harness.proxy import Slow
from harness.servers import HERE
from harness.wire import Cut, Polling, WebSocket, request

from . import GROWN, STALL, at_most, attack, exactly


def serve_pings(clients, seconds):
    """Answers all pings for this time. Returns the clients that are still connected."""
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


def pause(attempt, clients, await_ping, pong):
    """Stops the server for 4 s after all clients have received a ping, and sends their pongs meanwhile."""
    for client in clients:
        await_ping(client)
    stopped = threading.Thread(target=attempt.server.pause, args=[4])
    stopped.start()
    time.sleep(0.2)
    for client in clients:
        pong(client)
    stopped.join()


@attack("pause", {"clients still connected of 50": exactly(50), STALL: at_most(10_000)}, PAUSE)
def pause_websocket(attempt):
    """Ping interval 3 s, timeout 2 s. 50 WebSocket clients receive a ping, then the server is stopped (SIGSTOP) for 4 s. Meanwhile their
    pongs arrive in its socket buffers. The pongs are in time, so the clients must stay connected."""

    def await_ping(client):
        while client.receive() != b"2":
            pass

    clients = [attempt.keep(WebSocket(attempt.port)) for _ in range(50)]
    pause(attempt, clients, await_ping, lambda client: client.send("3"))
    kept = serve_pings(clients, 4)
    # An echo shows that the session is alive, not only its connection.
    alive = 0
    for client in kept:
        with contextlib.suppress(Cut, OSError):
            client.send('42["message","here"]')
            while not (message := client.receive()).startswith(b'42["message-back"'):
                if message == b"2":
                    client.send("3")
            alive += 1
    attempt.fact("clients still connected of 50", alive)


@attack("pause-polling", {STALL: at_most(10_000)}, PAUSE)
def pause_polling(attempt):
    """The same with 50 polling clients, which POST their pongs meanwhile. Bytes in the buffer of a connection are not yet a POST of the
    session, so the clients may be disconnected, and there is no bound."""
    clients = [attempt.keep(Polling(attempt.port)) for _ in range(50)]
    for client in clients:
        client.link.sendall(request("GET", client.query))
    pause(
        attempt,
        clients,
        lambda client: client.reader.response(),
        lambda client: client.link.sendall(request("POST", client.query, b"3")),
    )
    alive = 0
    for client in clients:
        with contextlib.suppress(Cut, OSError):
            alive += client.reader.response()[0] == 200
    attempt.fact("clients still connected of 50", alive)


SILENT = {"silent sessions left of 20": exactly(0), "late sessions left of 30": exactly(0)}


@attack("silent-poller", SILENT, {"ping-interval": 300, "ping-timeout": 200})
def silent_poller(attempt):
    """Ping interval 300 ms, timeout 200 ms. 20 sessions send GETs all the time but never a pong. A GET does not answer a ping and must not
    extend the deadline. 30 other sessions send their first GET 20 ms after their deadline (which may be rounded up by a fiftieth). The
    deadline must fire first."""
    late = []
    for _ in range(30):
        session = Polling(attempt.port, socketio=False)
        late.append((time.monotonic() + 0.52, session))
    alive = 0
    for due, session in late:
        time.sleep(max(0.0, due - time.monotonic()))
        alive += session.get()[0] == 200
        session.close()
    attempt.fact("late sessions left of 30", alive)
    left = [Polling(attempt.port, socketio=False) for _ in range(20)]
    ends = time.monotonic() + 2
    while time.monotonic() < ends and left:
        for session in list(left):
            with contextlib.suppress(OSError, Cut):
                session.link.settimeout(1)
                if session.get()[0] == 200:
                    continue
            session.close()
            left.remove(session)
    attempt.fact("silent sessions left of 20", len(left))


BUSY = {"ping-interval": 2500, "ping-timeout": 2000}


def official_client(attempt, port, transport, event, answer, count, size, seconds, *more):
    command = ["node", str(HERE / "node/client.js"), port, transport, event, answer, count, size, seconds, *more]
    out = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds + 10, check=True)
    report = json.loads(out.stdout)
    attempt.sent(count * size)
    attempt.fact("client stayed connected", int(report["disconnected"] is None))
    attempt.fact("answers", report["answers"])
    attempt.fact("ended after, ms", report["after_ms"])
    if report["disconnected"]:
        attempt.remark(f"the official client reports: {report['disconnected']}")


BACKLOG = {"client stayed connected": exactly(1), "answers": exactly(22), GROWN: at_most(56)}


@attack("backlog", BACKLOG, BUSY, program="logged")
def backlog_websocket(attempt):
    """Ping interval 2.5 s, timeout 2 s. The official client emits 20 MB at once, which a `recv` loop processes at 2 MB/s. Its pongs are
    queued behind the backlog. It is honest, and must stay connected."""
    official_client(attempt, attempt.port, "websocket", "slow", "slow-done", 22, 900_000, 30, 450)


@attack("backlog-polling", BACKLOG, BUSY, program="logged")
def backlog_polling(attempt):
    """The same over polling."""
    official_client(attempt, attempt.port, "polling", "slow", "slow-done", 22, 900_000, 30, 450)


@attack("slow-line", {GROWN: at_most(56)}, BUSY)
def slow_line(attempt):
    """Ping interval 2.5 s, timeout 2 s. The official client emits 20 MB at once over a line of 2 MB/s, and all of it is echoed. Its pong
    arrives 10 s later, so the client may be disconnected. Only memory is bounded."""
    with Slow(attempt.port, up=2_000_000, down=2_000_000) as proxy:
        official_client(attempt, proxy.port, "websocket", "message", "message-back", 22, 900_000, 30)


@attack("slow-reader", {GROWN: at_most(56)}, BUSY)
def slow_reader(attempt):
    """The same over a line that is fast for what the client sends but delivers the echoes at 2 MB/s. The server's pings are queued behind
    its own echoes, so the client may be disconnected. Only memory is bounded."""
    with Slow(attempt.port, down=2_000_000) as proxy:
        official_client(attempt, proxy.port, "websocket", "message", "message-back", 22, 900_000, 30)


SLOW = {"client stayed connected": exactly(1), "answers": exactly(4)}


@attack("slow-handler", SLOW, {"ping-interval": 1000, "ping-timeout": 800}, program="logged")
def slow_handler(attempt):
    """Four events of 100 kB are processed by a `recv` loop that takes 3 s for each (full: 8 s), with a ping interval of 1 s and a timeout
    of 0.8 s. The official client must stay connected."""
    takes = attempt.size(3, 8)
    official_client(attempt, attempt.port, "websocket", "slow", "slow-done", 4, 100_000, takes * 4 + 10, takes * 1000)
