"""Compressed messages that inflate to a thousand times their size, or that cost far more time than they have bytes."""

import contextlib
import struct
import threading
import time
import zlib

from harness.wire import Cut, WebSocket, frame, push

from . import AFTER, GROWN, at_most, attack, exactly

DEFLATE = {"deflate": None}
# A text message with RSV1.
COMPRESSED = 0x41


def compressed(message):
    """A message as the payload of a compressed frame."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def connected(attempt, **options):
    return attempt.keep(WebSocket(attempt.port, deflate=True, **options))


def close_code(client):
    """The code with which the server closes, or None if it does not within ten seconds."""
    with contextlib.suppress(OSError, Cut):
        while True:
            first, second = client.reader.exactly(2)
            size = second & 0x7F
            if size > 125:
                (size,) = struct.unpack("!H" if size == 126 else "!Q", client.reader.exactly(2 if size == 126 else 8))
            payload = client.reader.exactly(size)
            if first == 0x88:
                return int.from_bytes(payload[:2], "big")
    return None


@attack("bombs", {GROWN: at_most(56), AFTER: at_most(24)}, DEFLATE)
def bombs(attempt):
    """With compression: a client sends 1 000 events of 990 kB in 1 kB each (full: 5 000), whose handler asks it something and waits for an
    ack of 5 s. It reads what comes, and never answers. No more is inflated than the limits of input let in: then it is closed."""
    client = connected(attempt)

    def read():
        with contextlib.suppress(OSError, Cut):
            while True:
                client.reader.more()
                client.reader.kept = b""

    threading.Thread(target=read, daemon=True).start()
    data = frame(compressed(b'42["ask","' + b"x" * 990_000 + b'"]'), opcode=COMPRESSED)
    attempt.sent(push(client.link, data * attempt.size(1_000, 5_000), stuck_after=6))


@attack("unread-bombs", {GROWN: at_most(56), AFTER: at_most(24)}, DEFLATE)
def unread_bombs(attempt):
    """With compression: ten clients send 200 events of 990 kB in 1 kB each (full: 1 000) that are echoed, and read nothing."""
    data = frame(compressed(b'42["message","' + b"x" * 990_000 + b'"]'), opcode=COMPRESSED)
    for _ in range(10):
        client = connected(attempt, receive_buffer=4096)
        attempt.sent(push(client.link, data * attempt.size(200, 1_000), stuck_after=2))
    time.sleep(1)


@attack("gigabyte-bomb", {GROWN: at_most(24), "of 20 clients, closed with 1009": exactly(20)}, DEFLATE)
def gigabyte_bomb(attempt):
    """With compression: 20 clients send one message each that inflates to a gigabyte. It is inflated to the limit, and no further."""
    data = frame(compressed(b"4" + b"x" * 10**9), opcode=COMPRESSED)
    codes = []
    for _ in range(20):
        client = connected(attempt)
        attempt.sent(push(client.link, data, stuck_after=2))
        codes.append(close_code(client))
    attempt.fact("of 20 clients, closed with 1009", codes.count(1009))


@attack("empty-blocks-in-events", {GROWN: at_most(24)}, DEFLATE)
def empty_blocks_in_events(attempt):
    """With compression: a client sends 100 000 small valid events (full: 500 000), each after 96 deflate blocks without content, and reads
    everything. It must not delay the others."""
    client = connected(attempt)

    def read():
        with contextlib.suppress(OSError, Cut):
            while True:
                client.reader.more()
                client.reader.kept = b""

    threading.Thread(target=read, daemon=True).start()
    blocks = int(("0100000000" * 96)[::-1], 2).to_bytes(120, "little")
    data = frame(blocks + compressed(b'42["message",1]'), opcode=COMPRESSED)
    attempt.sent(push(client.link, data * attempt.size(100_000, 500_000), stuck_after=6))
    time.sleep(0.5)


@attack("empty-blocks", {GROWN: at_most(24)}, DEFLATE)
def empty_blocks(attempt):
    """With compression: 20 clients send a megabyte each of deflate blocks of ten bits, which hold nothing. The tables of each block are
    built anew, which would take seconds."""
    bits = "0100000000" * 800_000
    data = frame(int(bits[::-1], 2).to_bytes(len(bits) // 8, "little"), opcode=COMPRESSED)
    codes = []
    for _ in range(20):
        client = connected(attempt)
        attempt.sent(push(client.link, data, stuck_after=2))
        codes.append(close_code(client))
    attempt.fact("of 20 clients, closed with 1008", codes.count(1008))
