// Engine.IO revision 3: packets, and polling payloads in their text form and binary form.

import { TEXTS, TYPES, bytes, counting, decode, encode, named, repeated, utf8 } from "./common.mjs";

function* packet() {
  for (const [digit, type] of TYPES.entries()) {
    yield decode(`${type} without data`, `${digit}`);
    yield decode(`${type} with data`, `${digit}é😀`);
    yield decode(`bytes behind the type of ${type}`, bytes(digit, 1, 2));
    yield decode(`base64 behind the type of ${type}`, `b${digit}AQID`);
  }
  for (const [name, text] of Object.entries(TEXTS)) yield decode(`message of text: ${name}`, `4${text}`);
  yield decode("probe", "2probe");
  yield decode("answer to a probe", "3probe");
  yield decode("nothing", "");
  for (const first of ["7", "9", "a", "-", " ", "\u001e", "é"]) yield decode(`not a type: ${named(first)}`, first);
  yield decode("message without bytes", bytes(4));
  yield decode("no bytes", bytes());
  yield decode("bytes behind no type", bytes(9, 1));
  yield decode("bytes behind a digit of text", bytes(0x34, 1));
  yield decode("bytes behind 255", bytes(255, 1));
  yield decode("base64 without a type", "b");
  yield decode("base64 behind a letter", "bAQID");
  yield decode("base64 behind 7", "b7AQID");
  yield decode("base64 of nothing", "b4");
  for (const length of [1, 2, 3, 4, 100]) yield decode(`base64 of ${length} bytes`, `b4${Buffer.from(counting(length)).toString("base64")}`);
  yield decode("base64 without padding", "b4AQIDBA");
  yield decode("base64 in the URL-safe alphabet", "b4-_-_");
  yield decode("base64 with line feeds", "b4AQID\nBA==\n");
  yield decode("base64 with a star inside", "b4AQ*D");
  yield decode("base64 of one character", "b4A");

  for (const type of TYPES) yield encode(`${type} without data`, { type }, { binary: true });
  for (const [name, text] of Object.entries(TEXTS)) yield encode(`message of text: ${name}`, { type: "message", text }, { binary: true });
  yield encode("pong with the data of its ping", { type: "pong", text: "probe" }, { binary: true });
  yield encode("message of no text", { type: "message", text: "" }, { binary: true });
  for (const length of [0, 1, 2, 3, 12, 256]) {
    const hex = Buffer.from(counting(length)).toString("hex");
    yield encode(`${length} bytes`, { type: "message", hex }, { binary: true });
    yield encode(`${length} bytes as base64`, { type: "message", hex }, { binary: false });
  }
}

function* payload() {
  yield decode("one packet", "6:4hello");
  yield decode("two packets", "6:4hello2:4€");
  yield decode("three packets", "6:4test16:4test26:4test3");
  yield decode("lengths count UTF-16 units", "4:4😀a");
  yield decode("lengths that counted characters", "3:4😀a");
  yield decode("lengths that counted bytes", "6:4😀a");
  yield decode("a length that ends within a pair", "2:4😀");
  yield decode("a length that ends within a pair, another packet behind", "2:4😀1:2");
  yield decode("text and base64", "2:4€10:b4AQIDBA==");
  yield decode("twelve bytes in base64", "18:b4BwcHBwcHBwcHBwcH");
  yield decode("empty base64", "2:b4");
  yield decode("empty message", "1:4");
  yield decode("probe", "6:2probe");
  yield decode("noop", "1:6");
  yield decode("ping", "1:2");
  yield decode("close with packets behind", "1:12:4x");
  yield decode("an empty list", "0:");
  yield decode("an empty list and a packet", "0:1:3");
  yield decode("a packet and an empty list", "1:30:");
  yield decode("two empty lists", "0:0:");
  yield decode("colons inside a message", "6:4a:b:c1:2");
  yield decode("digits inside a message", "4:41:21:3");
  yield decode("line feed inside a message", "4:4a\nb");
  yield decode("a message of two digits of length", `11:4${"x".repeat(10)}`);
  yield decode("a message of three digits of length", `101:4${"é".repeat(100)}`);
  yield decode("a leading zero", "06:4hello");
  yield decode("a space before the length", " 6:4hello");
  yield decode("a space behind the length", "6 :4hello");
  yield decode("a line feed before the length", "\n6:4hello");
  yield decode("a length with an exponent", "1e1:4123456789");
  yield decode("a length with a fraction of zero", "6.0:4hello");
  yield decode("a length in hexadecimal", "0x1:3");
  yield decode("a length in binary", "0b1:3");
  yield decode("a length with a plus", "+1:3");
  yield decode("spaces as a length", "  :");
  yield decode("nothing", "");
  yield decode("no colon", "abc");
  yield decode("no digits", ":4");
  yield decode("letters for a length", "a:4");
  yield decode("a negative length", "-1:4");
  yield decode("a length with a fraction", "1.5:4a");
  yield decode("a huge length", "99999999999999999999:4");
  yield decode("an infinite length", "Infinity:4");
  yield decode("a length that is no number", "NaN:4");
  yield decode("more announced than there is", "9:4hello");
  yield decode("more announced than there is, behind a packet", "2:4a9:4hello");
  yield decode("digits behind the last packet", "6:4hello99");
  yield decode("letters behind the last packet", "6:4helloX");
  yield decode("an unknown type", "2:9a");
  yield decode("an unknown type behind a packet", "2:4a2:9a");
  yield decode("base64 without a type", "1:b");
  yield decode("base64 behind an unknown type", "3:b9A");
  yield decode("base64 of a type that is no message", "6:b2AQID");
  yield decode("base64 with a star inside", "6:b4AQ*D2:4a");
  yield decode("a payload of revision 4", "4a\u001e4b");
  yield decode("packet with a byte order mark in front", "\ufeff1:3");

  const part = (kind, content, length = content.length) => [kind, ...String(length).split("").map(Number), 255, ...content];
  yield decode("binary form: text and bytes", bytes(part(0, utf8("4€")), part(1, [4, 1, 2, 3, 4])));
  yield decode("binary form: the example of the suite", bytes(0, 6, 255, utf8("4hello"), 1, 5, 255, 4, 1, 2, 3, 4));
  yield decode("binary form: the example of the document", bytes(0, 4, 255, utf8("4€"), 1, 4, 255, 1, 2, 3, 4));
  yield decode("binary form: twelve bytes", bytes(part(1, [4, ...repeated(12, 7)])));
  yield decode("binary form: text alone", bytes(part(0, utf8("4hello"))));
  yield decode("binary form: text beyond ASCII", bytes(part(0, utf8("4é€😀"))));
  yield decode("binary form: three digits of length", bytes(part(1, [4, ...repeated(100, 1)])));
  yield decode("binary form: empty message", bytes(part(0, utf8("4"))));
  yield decode("binary form: message without bytes", bytes(part(1, [4])));
  yield decode("binary form: ping", bytes(part(0, utf8("2"))));
  yield decode("binary form: several packets", bytes(part(0, utf8("4a")), part(0, utf8("2probe")), part(1, [4, 255]), part(0, utf8("4b"))));
  yield decode("binary form: base64 in a part of text", bytes(part(0, utf8("b4AQID"))));
  yield decode("binary form: bytes that hold 255", bytes(part(1, [4, 255, 255, 0])));
  yield decode("binary form: nothing", bytes());
  yield decode("binary form: first byte 2", bytes(2, 2, 255, 4, 1));
  yield decode("binary form: first byte 255", bytes(255, 2, 255, 4, 1));
  yield decode("binary form: first byte 2 behind a packet", bytes(part(0, utf8("4a")), 2, 2, 255, 4, 1));
  yield decode("binary form: leading zero", bytes(0, 0, 2, 255, utf8("4a")));
  yield decode("binary form: length byte 10", bytes(0, 10, 255, utf8("4123456789")));
  yield decode("binary form: digits of text as length", bytes(0, 0x36, 255, utf8("4hello")));
  yield decode("binary form: no 255", bytes(0, 2, 4, 1));
  yield decode("binary form: no 255 behind a packet", bytes(part(0, utf8("4a")), 0, 2));
  yield decode("binary form: length 0", bytes(0, 0, 255));
  yield decode("binary form: length 0 of bytes", bytes(1, 0, 255));
  yield decode("binary form: no digits", bytes(0, 255, utf8("4a")));
  yield decode("binary form: more announced than there is", bytes(0, 9, 9, 255, utf8("4")));
  yield decode("binary form: more announced than there is, bytes", bytes(1, 9, 255, 4, 1));
  yield decode("binary form: more digits than a number has", bytes(0, repeated(320, 9), 255, utf8("4a")));
  yield decode("binary form: a length of thirty digits", bytes(1, repeated(30, 9), 255, 4, 1));
  yield decode("binary form: bytes behind the type of a ping", bytes(part(1, [2, 1])));
  yield decode("binary form: bytes behind no type", bytes(part(1, [9])));
  yield decode("binary form: bytes behind a digit of text", bytes(part(1, [0x34, 1])));
  yield decode("binary form: an unknown type in text", bytes(part(0, utf8("9"))));
  yield decode("binary form: an unknown type in text behind a packet", bytes(part(0, utf8("4a")), part(0, utf8("9"))));
  yield decode("binary form: UTF-8 that is wrong", bytes(part(0, [0x34, 0xff])));
  yield decode("binary form: UTF-8 that is cut", bytes(part(0, [0x34, 0xe2, 0x82])));
  yield decode("binary form: UTF-8 of a surrogate", bytes(part(0, [0x34, 0xed, 0xa0, 0x80])));

  const text = (text) => ({ type: "message", text });
  const binary = (...values) => ({ type: "message", hex: Buffer.from(values).toString("hex") });
  for (const takes of [true, false]) {
    const client = takes ? "for a client that takes binary" : "for a client that takes none";
    const options = { binary: takes };
    yield encode(`nothing ${client}`, [], options);
    yield encode(`two texts ${client}`, [text("hello"), text("€")], options);
    yield encode(`text and bytes ${client}`, [text("€"), binary(1, 2, 3, 4)], options);
    yield encode(`emoji ${client}`, text("😀a"), options);
    yield encode(`emoji and bytes ${client}`, [text("😀a"), binary(1)], options);
    yield encode(`twelve bytes ${client}`, binary(...repeated(12, 7)), options);
    yield encode(`no text ${client}`, text(""), options);
    yield encode(`no bytes ${client}`, binary(), options);
    yield encode(`half a pair ${client}`, { type: "message", utf16: "d83d" }, options);
    yield encode(`half a pair and bytes ${client}`, [{ type: "message", utf16: "0061d83d0062" }, binary(1)], options);
    yield encode(`noop ${client}`, { type: "noop" }, options);
    yield encode(`a probe and a noop ${client}`, [{ type: "ping", text: "probe" }, { type: "noop" }], options);
    yield encode(`a pong and a close ${client}`, [{ type: "pong", text: "probe" }, { type: "close" }], options);
    yield encode(`a hundred bytes ${client}`, binary(...counting(100)), options);
    yield encode(`a thousand characters ${client}`, text("é".repeat(1000)), options);
    yield encode(`nine and ten units ${client}`, [text("x".repeat(8)), text("x".repeat(9)), binary(...counting(8)), binary(...counting(9))], options);
  }
}

export const cases = { "engineio3-packet": packet(), "engineio3-payload": payload() };
