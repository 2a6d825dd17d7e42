# Tests the echo server with python-socketio's AsyncClient.

import asyncio
import os
import traceback
from functools import partial

import socketio

from checks import (BYTES, DEADLINE_SECONDS, FINAL_TRANSPORT, MEGABYTE_OF_BYTES, MEGABYTE_OF_TEXT, TEXTS, TRANSPORTS,
                    VALUES, ask, mode, same, say, url, wanted)


class Peer:
    """A client that keeps the received events in one queue per namespace and event."""

    def __init__(self, namespaces=("/",), auth=None, **options):
        self.heard = {}
        self.namespaces = namespaces
        self.auth = auth
        self.client = socketio.AsyncClient(**{"reconnection": False, **options})
        for namespace in namespaces:
            self.client.on("*", partial(self.hear, namespace), namespace)
            # The catch-all handler does not receive the reserved events.
            for event in ("connect", "connect_error", "disconnect"):
                self.client.on(event, lambda *args, key=(namespace, event): self.queue(*key).put_nowait(args), namespace)
            self.client.on("question", lambda *args: (*args, "and more"), namespace)

    async def connect(self):
        await self.client.connect(url, auth=self.auth, transports=TRANSPORTS[mode], namespaces=list(self.namespaces),
                                  wait_timeout=DEADLINE_SECONDS)

    def queue(self, namespace, event):
        return self.heard.setdefault((namespace, event), asyncio.Queue())

    async def hear(self, namespace, event, *args):
        self.queue(namespace, event).put_nowait(args)

    async def next(self, event, namespace="/"):
        return await self.queue(namespace, event).get()

    async def echoed(self, *args, namespace="/"):
        await self.client.emit("message", args, namespace=namespace)
        same(await self.next("message-back", namespace), args)

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.client.disconnect()


async def text_and_binary_come_back():
    async with Peer() as peer:
        same(peer.client.transport(), FINAL_TRANSPORT[mode])
        for text in TEXTS:
            await peer.echoed(text)
        await peer.echoed(*TEXTS, *VALUES)
        await peer.echoed(BYTES)
        await peer.echoed({"first": BYTES, "nested": [{"second": b"\x01"}, b""]}, "text", b"\x02\x03", None)


async def both_sides_acknowledge():
    async with Peer() as peer:
        same(await peer.client.call("message-with-ack", "one", timeout=DEADLINE_SECONDS), "one")
        answer = await peer.client.call("message-with-ack", ("one", {"two": BYTES}), timeout=DEADLINE_SECONDS)
        same(answer, ("one", {"two": BYTES}))
        await peer.client.emit("ask", ("text", BYTES))
        same(await peer.next("answer"), ("text", BYTES, "and more"))


async def the_handshake_auth_arrives_in_two_namespaces():
    async with Peer(("/", "/custom"), {"token": "abc"}) as peer:
        same(await peer.next("auth", "/"), ({"token": "abc"},))
        same(await peer.next("auth", "/custom"), ({"token": "abc"},))
        await peer.echoed("to root")
        await peer.echoed("to custom", BYTES, namespace="/custom")
        if peer.client.get_sid("/") == peer.client.get_sid("/custom"):
            raise AssertionError("two sockets with one id")


async def a_namespace_is_refused():
    for namespace, refusal in (
        ("/unknown", ({"message": "Invalid namespace"},)),
        ("/guarded", ({"message": "not authorised", "data": {"code": 401}},)),
    ):
        peer = Peer((namespace,))
        try:
            await peer.connect()
        except socketio.exceptions.ConnectionError:
            same(await peer.next("connect_error", namespace), refusal)
        else:
            raise AssertionError(f"{namespace} was not refused")
        finally:
            await peer.client.disconnect()
    async with Peer(("/guarded",), {"token": "secret"}):
        pass


async def either_side_disconnects():
    async with Peer(("/", "/custom"), reconnection=True) as peer:
        await peer.client.emit("disconnect-me", namespace="/custom")
        same(await peer.next("disconnect", "/custom"), (peer.client.reason.SERVER_DISCONNECT,))
        await peer.echoed("still here")
        await peer.client.disconnect()
        same(await peer.next("disconnect"), (peer.client.reason.CLIENT_DISCONNECT,))
    async with Peer(reconnection=True) as peer:
        await peer.echoed("back again")
        await peer.client.emit("close-me")
        same(await peer.next("disconnect"), (peer.client.reason.SERVER_DISCONNECT,))


async def a_megabyte_comes_back():
    async with Peer() as peer:
        await peer.echoed(MEGABYTE_OF_TEXT)
        await peer.echoed(MEGABYTE_OF_BYTES)
        await peer.echoed("small")


async def a_broadcast_reaches_every_client():
    async with Peer() as one, Peer() as two, Peer() as three:
        await one.client.emit("broadcast", ("to all", BYTES))
        for peer in (one, two, three):
            same(await peer.next("broadcast-back"), ("to all", BYTES))


async def the_client_reconnects_by_itself_after_a_server_restart():
    options = {"reconnection": True, "reconnection_delay": 0.02, "reconnection_delay_max": 0.1}
    async with Peer(auth={"token": "abc"}, **options) as peer:
        await peer.next("connect")
        await peer.next("auth")
        await asyncio.to_thread(ask, "stop")
        await peer.next("disconnect")
        await asyncio.to_thread(ask, "start")
        await peer.next("connect")
        same(await peer.next("auth"), ({"token": "abc"},))
        await peer.echoed("back", BYTES)


async def main():
    failed = False
    for name in wanted:
        try:
            await asyncio.wait_for(globals()[name](), DEADLINE_SECONDS)
            say(check=name, ok=True)
        except BaseException:
            failed = True
            say(check=name, ok=False, error=traceback.format_exc())
    return failed


failed = asyncio.run(main())
# Exit at once. Tasks that the client library still runs do not matter.
os._exit(failed)
