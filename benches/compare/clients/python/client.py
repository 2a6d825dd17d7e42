"""The asynchronous client of python-socketio, on aiohttp. Arguments: URL, number of clients, window of each, number of messages of all."""
import asyncio
import json
import re
import resource
import sys

import socketio

url = sys.argv[1]
clients, window, messages = map(int, sys.argv[2:5])


def resident():
    return int(re.search(r"VmRSS:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


async def main():
    before = resident()
    left = messages
    done = asyncio.Event()
    sockets = []
    for _ in range(clients):
        socket = socketio.AsyncClient()

        def handler(socket):
            async def back(text):
                nonlocal left
                left -= 1
                if left >= clients * window:
                    await socket.emit("message", text)
                if left == 0:
                    done.set()
            return back

        socket.on("message-back", handler(socket))
        await socket.connect(url, transports=["websocket"])
        sockets.append(socket)
    size = (resident() - before) // clients
    micros = 0
    if messages:
        begin = cpu()
        for _ in range(window):
            for socket in sockets:
                await socket.emit("message", "x" * 64)
        await done.wait()
        micros = (cpu() - begin) / messages
    print(json.dumps({"rss_per_client": size, "cpu_us_per_msg": micros, "msgs": messages}), flush=True)
    import os
    os._exit(0)


asyncio.run(main())
