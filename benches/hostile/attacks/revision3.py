"""Attacks with bodies of revision 3, whose packets have announced lengths, in text, binary and as JSONP forms."""

import contextlib
import urllib.parse

from harness.wire import Cut, Polling

from . import AFTER, GROWN, at_most, attack, exactly

EIO3 = {"allow-eio3": None}
SIZE = 990_000

BODIES = {
    "an announced gigabyte": b"1000000000:4x",
    "a length of a million digits": b"1" * SIZE,
    "a length beyond 64 bits": b"99999999999999999999999999:4x",
    "a negative length": b"-1:4x",
    "a length without a packet": b"5:",
    "no colon": b"4hello",
    "a packet in two": b"10:4hel",
    "only colons": b":" * SIZE,
    "empty packets": b"0:" * (SIZE // 2),
    "a length inside a character": "2:4\U0001f600".encode(),
    "binary, an announced gigabyte": b"\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff4x",
    "binary, a million digits": b"\x00" + b"\x09" * SIZE,
    "binary, digits above nine": b"\x01\x63\xff\x04x",
    "binary, no end of the length": b"\x01\x01\x02\x03",
    "binary, a type that does not exist": b"\x01\x02\xff\x09x",
    "binary, empty packets": b"\x01\x00\xff" * (SIZE // 3),
    "broken base64": b"8:b4!!!!!!",
}
FORMS = {
    "escapes": "d=" + "%25" * (SIZE // 3),
    "broken escapes": "d=" + "%" * SIZE,
    "backslashes": "d=" + urllib.parse.quote("\\" * (SIZE // 3 - 10)),
    "no field": "x" * SIZE,
    "a thousand fields": "&".join(["d=1%3A2"] * 1000),
    "an announced gigabyte": "d=" + urllib.parse.quote("1000000000:4x"),
}
KINDS = 2 * len(BODIES) + len(FORMS)


@attack(
    "revision-3-bodies",
    {"complete responses": exactly(10 * KINDS), GROWN: at_most(40), AFTER: at_most(24)},
    EIO3,
)
def revision_3_bodies(attempt):
    """With `allow_eio3`: bodies with wrong lengths, in text and binary, and as JSONP forms, up to 1 MB: each ten times, with a new session.
    Each must be answered."""
    complete = 0
    binary = ("Content-Type: application/octet-stream",)
    kinds = [(body, "", ()) for body in BODIES.values()] + [(body, "", binary) for body in BODIES.values()]
    kinds += [(form.encode(), "&j=0", ("Content-Type: application/x-www-form-urlencoded",)) for form in FORMS.values()]
    statuses = {}
    for body, query, headers in kinds:
        for _ in range(10):
            session = Polling(attempt.port, socketio=False, revision=3)
            with contextlib.suppress(OSError, Cut):
                data = request_3("POST", session.query + query, body, headers)
                attempt.sent(len(data))
                status, _, _ = session.ask(data)
                complete += 1
                statuses[status] = statuses.get(status, 0) + 1
            session.close()
    attempt.fact("complete responses", complete)
    attempt.remark(f"statuses: {statuses}")


def request_3(method, query, body, headers):
    lines = [f"{method} /socket.io/?EIO=3&transport=polling{query} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if not headers:
        lines.append("Content-Type: text/plain;charset=UTF-8")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@attack("revision-3-pings", {GROWN: at_most(56), AFTER: at_most(24)}, EIO3)
def revision_3_pings(attempt):
    """With `allow_eio3`: ten polling sessions send ten bodies each with 330 000 pings in 1 MB (full: 50), and never poll. The answers must be
    limited."""
    body = b"1:2" * 330_000
    for _ in range(10):
        session = attempt.keep(Polling(attempt.port, socketio=False, revision=3))
        with contextlib.suppress(OSError, Cut):
            for _ in range(attempt.size(10, 50)):
                attempt.sent(len(body))
                if session.post(body)[0] != 200:
                    break


@attack("revision-3-echo", {GROWN: at_most(56), AFTER: at_most(24)}, EIO3)
def revision_3_echo(attempt):
    """With `allow_eio3`: a polling session sends 60 bodies with 60 000 tiny events in 1 MB each (full: 300), which are echoed, and never
    polls. The queue must be limited."""
    packet = b'42["message"]'
    body = (b"%d:" % len(packet) + packet) * (SIZE // (len(packet) + 3))
    session = attempt.keep(Polling(attempt.port, socketio=False, revision=3))
    with contextlib.suppress(OSError, Cut):
        for _ in range(attempt.size(60, 300)):
            attempt.sent(len(body))
            if session.post(body)[0] != 200:
                break
