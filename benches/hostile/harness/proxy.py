"""A slow line between a client and a server: a limited rate in each direction, and small buffers."""

import contextlib
import socket
import threading
import time

from .wire import HOST

PIECE = 16_384
BUFFER = 32_768


class Slow:
    """Listens on `port` of 127.0.0.1, and forwards to the server (`up`) and back (`down`) with these total rates in bytes per second."""

    def __init__(self, target, up=None, down=None):
        self.target, self.rates = target, {"up": up, "down": down}
        self.listener = socket.create_server((HOST, 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.port = self.listener.getsockname()[1]
        self.links = []
        self.turns = {"up": threading.Lock(), "down": threading.Lock()}
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for link in [self.listener, *self.links]:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket()
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
                for link in (client, server):
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.links += [client, server]
                server.connect((HOST, self.target))
                threading.Thread(target=self._pass, args=(client, server, "up"), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, "down"), daemon=True).start()

    def _pass(self, source, sink, way):
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                if rate := self.rates[way]:
                    with self.turns[way]:
                        time.sleep(len(piece) / rate)
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
