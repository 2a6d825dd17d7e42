# Compression between the Engine.IO echo server and the clients of `websockets` and aiohttp.

import asyncio
import os
import traceback

import aiohttp
import websockets
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Offer

from checks import BYTES, DEADLINE_SECONDS, MEGABYTE_OF_TEXT, TEXTS, mode, same, say, url, wanted

TARGET = f"{url.replace('http', 'ws')}/engine.io/?EIO=4&transport={mode}"
# The packet has a type, and messages may have a million bytes.
MESSAGES = [*TEXTS, *("x" * length for length in (1022, 1023, 1024, 4094, 4095, 4096, 70_000)), MEGABYTE_OF_TEXT[:-1],
            BYTES, bytes(1024), bytes(4096), bytes(4097), bytes(999_999), os.urandom(10_000)]


async def echoed(socket):
    same((await socket.recv())[0], "0")
    # Twice, so that an end that keeps its context would refer to it.
    for message in MESSAGES + MESSAGES:
        packet = "4" + message if isinstance(message, str) else message
        await socket.send(packet)
        same(await socket.recv(), packet)


async def websockets_with_its_own_terms():
    async with connect(TARGET, max_size=None) as socket:
        [extension] = socket.protocol.extensions
        same(extension.local_no_context_takeover and extension.remote_no_context_takeover, True)
        await echoed(socket)


async def websockets_with_other_terms():
    for terms in (
        {},
        {"client_max_window_bits": True},
        {"client_max_window_bits": 9},
        {"server_max_window_bits": 15},
        {"server_max_window_bits": 12},
        {"server_max_window_bits": 9, "client_max_window_bits": 10},
        {"server_no_context_takeover": True},
        {"client_no_context_takeover": True},
        {"server_no_context_takeover": True, "client_no_context_takeover": True, "client_max_window_bits": True},
    ):
        async with connect(TARGET, max_size=None, compression=None, extensions=[Offer(**terms)]) as socket:
            same(len(socket.protocol.extensions), 1)
            await echoed(socket)


async def websockets_without_compression():
    async with connect(TARGET, max_size=None, compression=None) as socket:
        same(socket.protocol.extensions, [])
        await echoed(socket)


async def aiohttp_with_compression():
    async with aiohttp.ClientSession() as session:
        for compress in (15, 9):
            async with session.ws_connect(TARGET, compress=compress, max_msg_size=0) as socket:
                same(socket.compress > 0 and socket.client_notakeover, True)
                same((await socket.receive_str())[0], "0")
                for message in MESSAGES + MESSAGES:
                    if isinstance(message, str):
                        await socket.send_str("4" + message)
                        same(await socket.receive_str(), "4" + message)
                    else:
                        await socket.send_bytes(message)
                        same(await socket.receive_bytes(), message)


async def a_bomb_is_refused():
    async with connect(TARGET, max_size=None) as socket:
        await socket.recv()
        await socket.send(bytes(100_000_000))
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            same(closed.rcvd.code, 1009)
        else:
            raise AssertionError("it was taken")


async def main():
    failed = False
    for name in wanted:
        try:
            await asyncio.wait_for(globals()[name](), DEADLINE_SECONDS)
            say(check=name, ok=True)
        except BaseException:
            failed = True
            say(check=name, ok=False, error=traceback.format_exc())
    os._exit(1 if failed else 0)


asyncio.run(main())
