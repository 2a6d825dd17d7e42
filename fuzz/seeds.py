#!/usr/bin/env python3
"""Writes fuzz/corpus/TARGET/vector-*: inputs of the fuzz targets, created from the golden vectors (conformance/vectors/*.json).

The seeds in fuzz/seeds are few, written by hand and checked in. These are many, and created again for each run.
"""
import hashlib
import json
import pathlib

FUZZ = pathlib.Path(__file__).resolve().parent
VECTORS = FUZZ.parent / "conformance" / "vectors"
# The module of a target defines its input: a few bytes of settings before the message.
LARGEST = 4096


def content(message):
    """Returns the bytes of a message, and whether it is binary. Returns no bytes for a lone surrogate, which only JavaScript can send."""
    if "utf16" in message:
        return b"", False
    kind = "hex" if "hex" in message else "text"
    value = message[kind]
    if isinstance(value, list):
        value = "".join(part * times for part, times in value)
    return (bytes.fromhex(value), True) if kind == "hex" else (value.encode("utf-8", "surrogatepass"), False)


def inputs():
    """Yields pairs of a target and an input."""
    for file in sorted(VECTORS.glob("*.json")):
        if file.name in ("differences.json", "package.json", "package-lock.json"):
            continue
        vectors = json.loads(file.read_text())
        codec = vectors["codec"]
        for case in vectors["cases"]:
            if case["operation"] == "decode":
                messages = [content(message) for message in case["input"]]
            else:
                messages = [content(message) for message in case["expect"].get("messages", [])]
            if not messages:
                continue
            data, binary = messages[0]
            joined = b"".join(data for data, _ in messages)
            if codec.endswith("-packet"):
                yield "engine_packet", bytes([binary]) + data
                if not binary:
                    yield "jsonp", b"\0\x017" + data
            elif codec.endswith("-payload"):
                kind = 0 if codec == "engineio4-payload" else 2 if binary else 1
                yield "engine_payload", bytes([kind]) + data
                if kind == 0:
                    yield "http_bodies", b"\0\0" + data
            elif codec == "engineio4-webtransport":
                yield "webtransport", b"\xff\xff\x02\x03\x01" + joined
                yield "webtransport", b"\xff\xff\x02\x03\x01\x01\x30" + joined
            elif codec in ("socketio4", "socketio5"):
                parts = [b"\1" + data if binary else data for data, binary in messages]
                yield "socket_json", bytes([codec == "socketio4", 0]) + b"\x1e".join(parts)
                start = data.find(b"[")
                if start >= 0:
                    yield "json_scanner", b"\0\0\0" + data[start:]
                    yield "typed_read", b"\0\0" + data[start + 1 : -1]
            elif codec == "socketio5-msgpack" and binary:
                yield "socket_msgpack", b"\0" + data
                at = data.find(b"\xa4data")
                if at >= 0:
                    yield "socket_msgpack", b"\1" + data[at + 5 :]
                    yield "typed_read", b"\1" + data[at + 5 :]


def main():
    count = 0
    for target, data in inputs():
        if len(data) <= LARGEST:
            folder = FUZZ / "corpus" / target
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"vector-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            count += 1
    print(f"{count} inputs created from the golden vectors")


if __name__ == "__main__":
    main()
