# Tests the echo server with python-socketio's threaded Client.

import queue
import sys
import traceback
from functools import partial

import socketio

from checks import (BYTES, DEADLINE_SECONDS, FINAL_TRANSPORT, MEGABYTE_OF_BYTES, MEGABYTE_OF_TEXT, TEXTS, TRANSPORTS,
                    VALUES, ask, mode, same, say, url, wanted)


class Peer:
    """A client that keeps the received events in one queue per namespace and event."""

    def __init__(self, namespaces=("/",), auth=None, **options):
        self.heard = {}
        self.client = socketio.Client(**{"reconnection": False, **options})
        for namespace in namespaces:
            self.client.on("*", partial(self.hear, namespace), namespace)
            # The catch-all handler does not receive the reserved events.
            for event in ("connect", "connect_error", "disconnect"):
                self.client.on(event, lambda *args, key=(namespace, event): self.queue(*key).put(args), namespace)
            self.client.on("question", lambda *args: (*args, "and more"), namespace)
        self.connect(namespaces, auth)

    def connect(self, namespaces, auth=None):
        self.client.connect(url, auth=auth, transports=TRANSPORTS[mode], namespaces=list(namespaces), wait_timeout=DEADLINE_SECONDS)

    def queue(self, namespace, event):
        return self.heard.setdefault((namespace, event), queue.Queue())

    def hear(self, namespace, event, *args):
        self.queue(namespace, event).put(args)

    def next(self, event, namespace="/"):
        return self.queue(namespace, event).get(timeout=DEADLINE_SECONDS)

    def echoed(self, *args, namespace="/"):
        self.client.emit("message", args, namespace=namespace)
        same(self.next("message-back", namespace), args)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()


def text_and_binary_come_back():
    with Peer() as peer:
        same(peer.client.transport(), FINAL_TRANSPORT[mode])
        for text in TEXTS:
            peer.echoed(text)
        peer.echoed(*TEXTS, *VALUES)
        peer.echoed(BYTES)
        peer.echoed({"first": BYTES, "nested": [{"second": b"\x01"}, b""]}, "text", b"\x02\x03", None)


def both_sides_acknowledge():
    with Peer() as peer:
        same(peer.client.call("message-with-ack", "one", timeout=DEADLINE_SECONDS), "one")
        same(peer.client.call("message-with-ack", ("one", {"two": BYTES}), timeout=DEADLINE_SECONDS), ("one", {"two": BYTES}))
        peer.client.emit("ask", ("text", BYTES))
        same(peer.next("answer"), ("text", BYTES, "and more"))


def the_handshake_auth_arrives_in_two_namespaces():
    with Peer(("/", "/custom"), {"token": "abc"}) as peer:
        same(peer.next("auth", "/"), ({"token": "abc"},))
        same(peer.next("auth", "/custom"), ({"token": "abc"},))
        peer.echoed("to root")
        peer.echoed("to custom", BYTES, namespace="/custom")
        if peer.client.get_sid("/") == peer.client.get_sid("/custom"):
            raise AssertionError("two sockets with one id")


def a_namespace_is_refused():
    for namespace, refusal in (
        ("/unknown", ({"message": "Invalid namespace"},)),
        ("/guarded", ({"message": "not authorised", "data": {"code": 401}},)),
    ):
        peer = Peer.__new__(Peer)
        try:
            peer.__init__((namespace,))
        except socketio.exceptions.ConnectionError:
            same(peer.next("connect_error", namespace), refusal)
        else:
            raise AssertionError(f"{namespace} was not refused")
        finally:
            peer.client.disconnect()
    with Peer(("/guarded",), {"token": "secret"}):
        pass


def either_side_disconnects():
    with Peer(("/", "/custom"), reconnection=True) as peer:
        peer.client.emit("disconnect-me", namespace="/custom")
        same(peer.next("disconnect", "/custom"), (peer.client.reason.SERVER_DISCONNECT,))
        peer.echoed("still here")
        peer.client.disconnect()
        same(peer.next("disconnect"), (peer.client.reason.CLIENT_DISCONNECT,))
        peer.connect(("/",))
        peer.echoed("back again")
        peer.client.emit("close-me")
        same(peer.next("disconnect"), (peer.client.reason.SERVER_DISCONNECT,))


def a_megabyte_comes_back():
    with Peer() as peer:
        peer.echoed(MEGABYTE_OF_TEXT)
        peer.echoed(MEGABYTE_OF_BYTES)
        peer.echoed("small")


def a_broadcast_reaches_every_client():
    with Peer() as one, Peer() as two, Peer() as three:
        one.client.emit("broadcast", ("to all", BYTES))
        for peer in (one, two, three):
            same(peer.next("broadcast-back"), ("to all", BYTES))


def the_client_reconnects_by_itself_after_a_server_restart():
    with Peer(auth={"token": "abc"}, reconnection=True, reconnection_delay=0.02, reconnection_delay_max=0.1) as peer:
        peer.next("connect")
        peer.next("auth")
        ask("stop")
        peer.next("disconnect")
        ask("start")
        peer.next("connect")
        same(peer.next("auth"), ({"token": "abc"},))
        peer.echoed("back", BYTES)


failed = False
for name in wanted:
    try:
        globals()[name]()
        say(check=name, ok=True)
    except BaseException:
        failed = True
        say(check=name, ok=False, error=traceback.format_exc())
sys.exit(failed)
