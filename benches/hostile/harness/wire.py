"""A client on raw sockets, which can send anything: HTTP requests, Engine.IO polling, WebSocket.

Everything goes to 127.0.0.1 and has a time limit. WebSocket frames are masked with zeros, so that thousands of them can be created at
once.
"""

import base64
import contextlib
import json
import os
import socket
import struct

HOST = "127.0.0.1"
PATIENCE = 10.0


class Cut(Exception):
    """The connection ended or was reset before the awaited data was complete."""


def connect(port, receive_buffer=None, patience=PATIENCE):
    """Opens a connection. The size of the receive buffer must be set before."""
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    link.settimeout(patience)
    if receive_buffer:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.connect((HOST, port))
    return link


def close(link):
    """Closes a connection or an object with a `link`, even while another thread reads from it (`close` alone would wait for that
    thread)."""
    link = getattr(link, "link", link)
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
    link.close()


def send_and_end(link, data, whole=False):
    """Sends data and ends this side with the same segment, so that a reader finds both at once. With `whole`, closes the connection."""
    link.send(data, socket.MSG_MORE)
    if whole:
        link.close()
    else:
        link.shutdown(socket.SHUT_WR)


def request(method, query="", body=None, headers=(), length=None, path="/socket.io/", revision=4):
    """Returns the bytes of a request. `length` is announced instead of the length of the body."""
    lines = [f"{method} {path}?EIO={revision}&transport=polling{query} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body is not None or length is not None:
        lines.append(f"Content-Length: {len(body or b'') if length is None else length}")
        lines.append("Content-Type: text/plain;charset=UTF-8")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Reader:
    """Reads from a connection, and buffers data that is not consumed yet."""

    def __init__(self, link):
        self.link = link
        self.kept = b""

    def more(self):
        try:
            got = self.link.recv(1 << 16)
        except (ConnectionError, BrokenPipeError) as error:
            raise Cut(str(error)) from None
        if not got:
            raise Cut("the connection ended")
        self.kept += got

    def until(self, end):
        while end not in self.kept:
            self.more()
        found, _, self.kept = self.kept.partition(end)
        return found

    def exactly(self, count):
        if len(self.kept) < count:
            parts, have = [self.kept], len(self.kept)
            while have < count:
                self.kept = b""
                self.more()
                parts.append(self.kept)
                have += len(self.kept)
            self.kept = b"".join(parts)
        found, self.kept = self.kept[:count], self.kept[count:]
        return found

    def response(self):
        """Returns status, headers (lower case) and body of a complete response. Raises `Cut` otherwise."""
        head = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.until(b"\r\n"), 16):
                body += self.exactly(size)
                self.until(b"\r\n")
            self.until(b"\r\n")
        else:
            body = self.exactly(int(headers.get("content-length", 0))) if status != 101 else b""
        return status, headers, body


def ask(port, data, patience=PATIENCE):
    """Sends a request on a new connection. Returns the complete response, or raises `Cut`."""
    with contextlib.closing(connect(port, patience=patience)) as link:
        link.sendall(data)
        return Reader(link).response()


class Polling:
    """A polling session on one keep-alive connection."""

    def __init__(self, port, headers=(), socketio=True, revision=4):
        self.port, self.revision = port, revision
        self.link = connect(port)
        self.reader = Reader(self.link)
        status, _, body = self.ask(request("GET", headers=headers, revision=revision))
        if status != 200:
            raise Cut(f"the handshake was answered with status {status}")
        self.sid = body.split(b'"sid":"')[1].split(b'"')[0].decode()
        self.query = f"&sid={self.sid}"
        if socketio:
            self.post(b"40")
            seen = b""
            while b'42["auth"' not in seen:
                seen += self.get()[2]

    def ask(self, data):
        self.link.sendall(data)
        return self.reader.response()

    def post(self, body):
        return self.ask(request("POST", self.query, body, revision=self.revision))

    def get(self):
        return self.ask(request("GET", self.query, revision=self.revision))

    def close(self):
        close(self)


def frame(payload, opcode=1, length=None):
    """Returns a client frame, masked with zeros. `length` is announced instead of the length of the payload."""
    size = len(payload) if length is None else length
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


class WebSocket:
    """A WebSocket: a new session, or the probe of the polling session `sid`."""

    def __init__(self, port, sid=None, receive_buffer=None, socketio=True, deflate=False, auth=""):
        self.link = connect(port, receive_buffer)
        self.reader = Reader(self.link)
        key = base64.b64encode(os.urandom(16)).decode()
        extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
        self.link.sendall(
            f"GET /socket.io/?EIO=4&transport=websocket{f'&sid={sid}' if sid else ''} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{extension}\r\n".encode()
        )
        status, headers, _ = self.reader.response()
        if status != 101:
            raise Cut(f"the WebSocket was answered with status {status}")
        if deflate and "sec-websocket-extensions" not in headers:
            raise Cut("the server does not compress")
        # The reply to CONNECT.
        self.connected = None
        if sid is None and socketio:
            self.send(f"40{auth}")
            while not (message := self.receive()).startswith(b'42["auth"'):
                if message.startswith(b"40{"):
                    self.connected = json.loads(message[2:])

    def send(self, text):
        self.link.sendall(frame(text if isinstance(text, bytes) else text.encode()))

    def receive(self):
        """Returns the next message, or raises `Cut` at the end. WebSocket pings are ignored."""
        while True:
            first, second = self.reader.exactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self.reader.exactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.reader.exactly(8))
            payload = self.reader.exactly(size)
            if first & 0x0F == 8:
                raise Cut("closed")
            if first & 0x0F in (1, 2):
                return payload

    def close(self):
        close(self)


def push(link, data, stuck_after):
    """Sends until all data is sent, no byte was accepted for `stuck_after` seconds, or the connection has ended. Returns the number of sent
    bytes."""
    link.settimeout(stuck_after)
    view, sent = memoryview(data), 0
    while sent < len(view):
        try:
            sent += link.send(view[sent : sent + (1 << 18)])
        except OSError:
            break
    return sent
