// Engine.IO revision 4: packets, polling payloads, and WebTransport frames.

import { TEXTS, TYPES, bytes, counting, decode, encode, named, repeated, utf8 } from "./common.mjs";

const SEPARATOR = "\u001e";

function* packet() {
  for (const [digit, type] of TYPES.entries()) {
    yield decode(`${type} without data`, `${digit}`);
    yield decode(`${type} with data`, `${digit}x`);
    yield decode(`${type} with data beyond ASCII`, `${digit}é€😀`);
  }
  for (const [name, text] of Object.entries(TEXTS)) yield decode(`message of text: ${name}`, `4${text}`);
  yield decode("probe", "2probe");
  yield decode("answer to a probe", "3probe");
  yield decode("open packet", '0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
  yield decode("message with the separator inside", `4a${SEPARATOR}b`);
  yield decode("message that starts with a byte order mark", "4\ufeffa");
  yield decode("message that looks like a packet", "44");
  yield decode("message that looks like base64", "4bAQID");
  yield decode("nothing", "");
  for (const first of ["7", "8", "9", "a", "B", "-", "+", " ", "\t", SEPARATOR, "\u0000", "\ufeff4", "é", "😀", "٤", "４", "4️⃣".slice(1)]) {
    yield decode(`not a type: ${named(first)}`, first);
  }
  yield decode("not a type, with data", "9hello");

  for (const length of [0, 1, 2, 3, 4, 5, 6, 63]) {
    const encoded = Buffer.from(counting(length)).toString("base64");
    yield decode(`base64 of ${length} bytes`, `b${encoded}`);
    if (encoded.endsWith("=")) yield decode(`base64 of ${length} bytes without padding`, `b${encoded.replace(/=+$/, "")}`);
  }
  yield decode("base64 of all byte values", `b${Buffer.from(counting(256)).toString("base64")}`);
  yield decode("base64 in the URL-safe alphabet", "b-_-_");
  yield decode("base64 in the URL-safe alphabet with padding", "b-_8=");
  yield decode("base64 in the standard alphabet where it differs", "b+/+/");
  yield decode("base64 in both alphabets at once", "b+_-/");
  yield decode("base64 with half of its padding", "bAQIDBA=");
  yield decode("base64 with too much padding", "bAQIDBA===");
  yield decode("base64 with padding that is not needed", "bAQID=");
  yield decode("base64 with bits left over", "bAR==");
  yield decode("base64 with bits left over and no padding", "bAR");
  yield decode("base64 of one character", "bA");
  yield decode("base64 of five characters", "bAQIDB");
  yield decode("base64 of one character with padding", "bA===");
  yield decode("base64 of padding alone", "b==");
  yield decode("base64 with data behind its padding", "bAQ==AQ==");
  yield decode("base64 with a line feed at its end", "bAQIDBA==\n");
  yield decode("base64 in lines of 76", `b${Buffer.from(counting(100)).toString("base64").replace(/.{76}/g, "$&\n")}\n`);
  yield decode("base64 in lines that end with CR LF", `b${Buffer.from(counting(100)).toString("base64").replace(/.{76}/g, "$&\r\n")}`);
  yield decode("base64 with a star inside", "bAQID*BA=");
  yield decode("base64 with spaces", "b AQID BA==");
  yield decode("base64 with a tab", "bAQID\tBA==");
  yield decode("base64 with characters beyond ASCII", "bAQIDé");
  yield decode("base64 that is none of it", "b!!!!");
  yield decode("base64 with the type of revision 3 in front", "b4AQID");
  yield decode("base64 with a zero character", "bAQI\u0000DBA==");
  yield decode("base64 with dots and commas", "bA.Q,I:D;");

  yield decode("no bytes", bytes());
  yield decode("one byte", bytes(7));
  yield decode("bytes that look like revision 3", bytes(4, 1, 2, 3));
  yield decode("bytes of text", bytes(utf8("4hello")));
  yield decode("bytes that are no text", bytes(0xff, 0xfe, 0x80));
  yield decode("all byte values", bytes(counting(256)));

  for (const type of TYPES) {
    yield encode(`${type} without data`, { type }, { binary: true });
    yield encode(`${type} with data`, { type, text: "x" }, { binary: true });
  }
  for (const [name, text] of Object.entries(TEXTS)) yield encode(`message of text: ${name}`, { type: "message", text }, { binary: false });
  yield encode("probe", { type: "ping", text: "probe" }, { binary: true });
  yield encode("message of no text", { type: "message", text: "" }, { binary: true });
  for (const length of [0, 1, 2, 3, 4, 5, 6, 256]) {
    const hex = Buffer.from(counting(length)).toString("hex");
    yield encode(`${length} bytes`, { type: "message", hex }, { binary: true });
    yield encode(`${length} bytes as base64`, { type: "message", hex }, { binary: false });
  }
}

function* payload() {
  const joined = (...packets) => packets.join(SEPARATOR);
  yield decode("one packet", "4hello");
  yield decode("two packets", joined("4hello", "4€"));
  yield decode("three packets of several types", joined("4a", "2", "6"));
  yield decode("text and binary", joined("4€", "bAQIDBA=="));
  yield decode("binary alone", "bAQIDBA==");
  yield decode("empty binary and empty text", joined("b", "4"));
  yield decode("a probe in a payload", joined("2probe", "4a"));
  yield decode("emoji around a separator", joined("4😀", "4😀"));
  yield decode("a hundred packets", joined(...repeated(100, "4a")));
  yield decode("packets behind a close", joined("1", "4x"));
  yield decode("all types", joined("0", "1", "2", "3", "4", "5", "6"));
  yield decode("nothing", "");
  yield decode("a separator alone", SEPARATOR);
  yield decode("two separators", SEPARATOR + SEPARATOR);
  yield decode("a separator behind the last packet", `4a${SEPARATOR}`);
  yield decode("a separator before the first packet", `${SEPARATOR}4a`);
  yield decode("two separators between packets", `4a${SEPARATOR}${SEPARATOR}4b`);
  yield decode("a bad packet", "abc");
  yield decode("a bad packet between good ones", joined("4a", "abc", "4b"));
  yield decode("a bad packet at the end", joined("4a", "4b", "9"));
  yield decode("a payload of revision 3", "6:4hello2:4€");
  yield decode("base64 with line feeds among packets", joined("4a", "bAQID\nBA==", "4b"));
  yield decode("base64 without padding among packets", joined("4a", "bAQIDBA", "4b"));
  yield decode("base64 with a star among packets", joined("4a", "bAQ*D", "4b"));
  yield decode("base64 of one character as the last packet", joined("4a", "bA"));
  yield decode("line feed behind the last packet", "4a\n");
  yield decode("carriage return inside", joined("4a\r", "4b"));
  yield decode("bytes of good text", bytes(utf8(joined("4é", "4b"))));
  yield decode("a byte order mark in front", "\ufeff4a");
  yield decode("UTF-8 that is cut", bytes(utf8("4a"), 0xe2, 0x82));
  yield decode("UTF-8 that is wrong", bytes(utf8("4a"), 0xff, utf8("b")));
  yield decode("UTF-8 that is wrong in the second packet", bytes(utf8(joined("4a", "4b")), 0x80));
  yield decode("UTF-8 of a surrogate", bytes(utf8("4"), 0xed, 0xa0, 0x80));
  yield decode("UTF-8 longer than needed", bytes(utf8("4"), 0xc0, 0xaf));

  const text = (text) => ({ type: "message", text });
  const binary = (...values) => ({ type: "message", hex: Buffer.from(values).toString("hex") });
  yield encode("nothing", []);
  yield encode("one packet", text("hello"));
  yield encode("two packets", [text("hello"), text("€")]);
  yield encode("text and binary", [text("€"), binary(1, 2, 3, 4)]);
  yield encode("empty text and empty binary", [text(""), binary()]);
  yield encode("binary alone", binary(0, 255));
  yield encode("all types", TYPES.map((type) => ({ type })));
  yield encode("a hundred packets", repeated(100, text("a")));
  yield encode("noop", { type: "noop" });
  yield encode("close", { type: "close" });
  yield encode("the rest of a graceful close", [text("a"), text("b"), { type: "close" }]);
  yield encode("base64 of every length up to six", [0, 1, 2, 3, 4, 5, 6].map((length) => binary(...counting(length))));
}

const frame = (head, content) => [...head, ...content];
const cut = (content, ...positions) => {
  const edges = [0, ...positions, content.length];
  return edges.slice(1).map((end, index) => bytes(content.slice(edges[index], end)));
};

function* webtransport() {
  const limit = { max_payload: 1_000_000 };
  const hello = frame([6], utf8("4hello"));
  const four = [0x84, 1, 2, 3, 4];
  const long = frame([0xfe, 0, 126], counting(126));
  yield decode("text", bytes(hello), limit);
  yield decode("text beyond ASCII", bytes(frame([5], utf8("41€"))), limit);
  yield decode("bytes", bytes(four), limit);
  yield decode("open without data", bytes(1, 0x30), limit);
  yield decode("open with a session", bytes(frame([29], utf8('0{"sid":"aaaaaaaaaaaaaaaaaa"}'))), limit);
  for (const [digit, type] of TYPES.entries()) yield decode(`${type} in one byte`, bytes(frame([1], utf8(`${digit}`))), limit);
  yield decode("probe", bytes(frame([6], utf8("2probe"))), limit);
  yield decode("125 bytes", bytes(frame([0xfd], counting(125))), limit);
  yield decode("126 bytes", bytes(long), limit);
  yield decode("65535 bytes", bytes(frame([0xfe, 0xff, 0xff], repeated(65535, 7))), limit);
  yield decode("65536 bytes", bytes(frame([0xff, 0, 0, 0, 0, 0, 1, 0, 0], repeated(65536, 7))), limit);
  yield decode("125 bytes of text", bytes(frame([125], utf8(`4${"a".repeat(124)}`))), limit);
  yield decode("126 bytes of text", bytes(frame([126, 0, 126], utf8(`4${"a".repeat(125)}`))), limit);
  yield decode("65536 bytes of text", bytes(frame([127, 0, 0, 0, 0, 0, 1, 0, 0], utf8(`4${"a".repeat(65535)}`))), limit);
  yield decode("no chunks", [], limit);
  yield decode("an empty chunk", bytes(), limit);
  yield decode("empty chunks between", [bytes(), bytes(6), bytes(), bytes(utf8("4hello")), bytes()], limit);
  yield decode("several frames in one chunk", bytes(hello, four, hello), limit);
  yield decode("several frames byte by byte", [...hello, ...four, ...long].map((byte) => bytes(byte)), limit);
  yield decode("two frames, cut in the second header", cut([...hello, ...long], 8), limit);
  for (let at = 1; at < hello.length; at += 1) yield decode(`text cut behind byte ${at}`, cut(hello, at), limit);
  for (const at of [1, 2, 3, 4, 64, 128]) yield decode(`126 bytes cut behind byte ${at}`, cut(long, at), limit);
  const wide = frame([0x7f, 0, 0, 0, 0, 0, 0, 0, 2], utf8("4a"));
  for (let at = 1; at < wide.length; at += 2) yield decode(`eight bytes of length cut behind byte ${at}`, cut(wide, at), limit);
  yield decode("short length in three bytes", bytes(frame([0x7e, 0, 3], utf8("4ab"))), limit);
  yield decode("short length of bytes in three bytes", bytes(frame([0xfe, 0, 3], [1, 2, 3])), limit);
  yield decode("short length in nine bytes", bytes(wide), limit);
  yield decode("medium length in nine bytes", bytes(frame([0xff, 0, 0, 0, 0, 0, 0, 0, 200], counting(200))), limit);
  yield decode("a frame that is not complete", bytes(6, 0x34, 0x68), limit);
  yield decode("a header that is not complete", bytes(0x7e, 0), limit);
  yield decode("a good frame and half of one", bytes(hello, 0x84, 1), limit);
  yield decode("length 0", bytes(0), limit);
  yield decode("length 0 of bytes", bytes(0x80), limit);
  yield decode("length 0 in three bytes", bytes(0x7e, 0, 0), limit);
  yield decode("length 0 in nine bytes", bytes(0x7f, repeated(8, 0)), limit);
  yield decode("length 0 behind a good frame", bytes(hello, 0), limit);
  yield decode("exactly the limit", bytes(frame([0x8a], counting(10))), { max_payload: 10 });
  yield decode("one byte above the limit", bytes(frame([0x8b], counting(11))), { max_payload: 10 });
  yield decode("above the limit before any of the body", bytes(0x8b), { max_payload: 10 });
  yield decode("text at the limit, its type counted", bytes(frame([10], utf8("4123456789"))), { max_payload: 10 });
  yield decode("text above the limit by its type", bytes(frame([11], utf8("41234567890"))), { max_payload: 10 });
  yield decode("short length in three bytes, for a limit below 126", bytes(frame([0xfe, 0, 3], [1, 2, 3])), { max_payload: 10 });
  yield decode("short length in nine bytes, for a limit of 126", bytes(wide), { max_payload: 126 });
  yield decode("short length in nine bytes, for a limit of 127", bytes(wide), { max_payload: 127 });
  yield decode("16 bits above the limit", bytes(0xfe, 0xff, 0xff), { max_payload: 65534 });
  yield decode("64 bits above the limit", bytes(0xff, 0, 0, 0, 1, 0, 0, 0, 0), limit);
  yield decode("2 to the power of 53", bytes(0xff, 0, 0x20, 0, 0, 0, 0, 0, 0), { max_payload: Number.MAX_SAFE_INTEGER });
  yield decode("2 to the power of 53 less one", bytes(0xff, 0, 0x1f, repeated(6, 0xff)), { max_payload: 1_000_000 });
  yield decode("2 to the power of 64 less one", bytes(0xff, repeated(8, 0xff)), { max_payload: 1_000_000 });
  yield decode("unknown type", bytes(frame([2], utf8("9a"))), limit);
  yield decode("unknown type behind a good frame", bytes(hello, frame([2], utf8("9a"))), limit);
  yield decode("base64 in a text frame", bytes(frame([9], utf8("bAQIDBA=="))), limit);
  yield decode("base64 with a star in a text frame", bytes(frame([5], utf8("bAQ*D"))), limit);
  yield decode("UTF-8 that is wrong", bytes(3, 0x34, 0xff, 0x61), limit);
  yield decode("UTF-8 that is cut", bytes(3, 0x34, 0xe2, 0x82), limit);
  yield decode("UTF-8 cut between chunks", cut(frame([5], utf8("41€")), 4), limit);
  yield decode("a byte order mark in front of the type", bytes(frame([5], utf8("\ufeff4a"))), limit);
  yield decode("a byte order mark alone", bytes(frame([3], utf8("\ufeff"))), limit);
  yield decode("bytes that are text", bytes(frame([0x86], utf8("4hello"))), limit);

  const text = (text) => ({ type: "message", text });
  const binary = (content) => ({ type: "message", hex: Buffer.from(content).toString("hex") });
  for (const type of TYPES) yield encode(type, { type });
  for (const [name, content] of Object.entries(TEXTS)) yield encode(`message of text: ${name}`, text(content));
  yield encode("probe", { type: "ping", text: "probe" });
  yield encode("no text", text(""));
  yield encode("no bytes", binary([]));
  yield encode("four bytes", binary([1, 2, 3, 4]));
  for (const length of [124, 125, 126, 65534, 65535, 65536]) {
    yield encode(`${length} characters behind a type`, text("a".repeat(length)));
    yield encode(`${length} bytes`, binary(repeated(length, 7)));
  }
  yield encode("several packets", [text("€"), binary([1, 2]), { type: "noop" }]);
}

export const cases = {
  "engineio4-packet": packet(),
  "engineio4-payload": payload(),
  "engineio4-webtransport": webtransport(),
};
