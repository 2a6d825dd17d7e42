// Socket.IO over MessagePack.

import { bytes, counting, decode, encode, repeated, utf8 } from "./common.mjs";

// Encodes MessagePack by hand, in the form that a case tests.
const str = (text) => [0xa0 + utf8(text).length, ...utf8(text)];
const str8 = (text) => [0xd9, utf8(text).length, ...utf8(text)];
const str16 = (text) => [0xda, 0, utf8(text).length, ...utf8(text)];
const str32 = (text) => [0xdb, 0, 0, 0, utf8(text).length, ...utf8(text)];
const array = (...elements) => [0x90 + elements.length, ...elements.flat()];
const map = (...entries) => [0x80 + entries.length, ...entries.flat()];
const key = (name, value) => [...str(name), ...value];
const UNDEFINED = [0xd4, 0, 0];
const NIL = [0xc0];

const type = (value) => key("type", [value].flat());
const nsp = key("nsp", str("/"));
const data = (value) => key("data", value);
const id = (value) => key("id", value);
const event = (...args) => map(type(2), data(array(str("a"), ...args)), nsp);
const one = (what, ...content) => decode(what, bytes(content.flat()));

function* decoded() {
  yield one("connect", map(type(0), nsp));
  yield one("connect with undefined data", map(type(0), data(UNDEFINED), nsp));
  yield one("connect with a payload", map(type(0), data(map(key("t", str("1")))), key("nsp", str("/a"))));
  yield one("connect with an empty payload", map(type(0), data(map()), nsp));
  yield one("reply to a connect", map(type(0), data(map(key("sid", str("oSO0OpakMV_3jnilAAAA")), key("pid", UNDEFINED))), nsp));
  yield one("disconnect", map(type(1), nsp));
  yield one("disconnect with undefined data", map(type(1), data(UNDEFINED), nsp));
  yield one("event", event([1]));
  yield one("event of a client", map(type(2), data(array(str("hello"), [1])), key("options", map(key("compress", [0xc3]))), nsp));
  yield one("event of a client with an id", map(type(2), data(array(str("hello"), [1])), key("options", map(key("compress", [0xc3]))), id([0]), nsp));
  yield one("event of a server with an id", map(type(2), data(array(str("a"))), id([5]), nsp));
  yield one("broadcast with an id", map(type(2), data(array(str("a"))), nsp, id([5])));
  yield one("ack of a client", map(type(3), id([12]), data(array(str("ok"))), nsp));
  yield one("ack of a server", map(id([12]), type(3), data(array(str("ok"))), nsp));
  yield one("ack without an id", map(type(3), data(array()), nsp));
  yield one("connect error of an object", map(type(4), data(map(key("message", str("no")))), nsp));
  yield one("connect error with undefined data inside", map(type(4), data(map(key("message", str("no")), key("data", UNDEFINED))), nsp));
  yield one("connect error of a string", map(type(4), data(str("no")), nsp));
  yield one("keys in the other order", map(nsp, data(array(str("a"))), type(2)));
  yield one("keys that nobody knows", map(key("x", NIL), type(2), key("y", map()), data(array(str("a"))), key("", array()), nsp));
  yield one("key twice, the last counts", map(type(1), type(2), data(array(str("a"))), nsp));
  yield one("data twice, the last counts", map(type(2), data(array(str("a"))), data(array(str("b"))), nsp));
  yield one("a map of 16 bits", [0xde, 0, 2], type(0), nsp);
  yield one("a map of 32 bits", [0xdf, 0, 0, 0, 2], type(0), nsp);
  yield one("keys as strings of 8, 16 and 32 bits", [0x83], str8("type"), 2, str16("data"), array(str("a")), str32("nsp"), str("/"));

  for (const value of [0, 1, 2, 3, 4, 5, 6, 7, 127]) {
    yield one(`type ${value} with an array`, map(type(value), data(array(str("a"))), nsp));
    yield one(`type ${value} without data`, map(type(value), nsp));
    yield one(`type ${value} with a map`, map(type(value), data(map()), nsp));
    yield one(`type ${value} with a string`, map(type(value), data(str("x")), nsp));
    yield one(`type ${value} with nil`, map(type(value), data(NIL), nsp));
  }
  yield one("type as a uint 8", map(type([0xcc, 2]), data(array(str("a"))), nsp));
  yield one("type as an int 64", map(type([0xd3, repeated(7, 0), 2].flat()), data(array(str("a"))), nsp));
  yield one("type as a float of 64 bits", map(type([0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0]), data(array(str("a"))), nsp));
  yield one("type as a float of 32 bits", map(type([0xca, 0x40, 0, 0, 0]), data(array(str("a"))), nsp));
  yield one("type with a fraction", map(type([0xca, 0x3f, 0xc0, 0, 0]), data(array(str("a"))), nsp));
  yield one("type below 0", map(type(0xff), data(array(str("a"))), nsp));
  yield one("type as a string", map(type(str("2")), data(array(str("a"))), nsp));
  yield one("type of nil", map(type(NIL), nsp));
  yield one("no type", map(data(array(str("a"))), nsp));
  yield one("no namespace", map(type(2), data(array(str("a")))));
  yield one("namespace of nil", map(type(0), key("nsp", NIL)));
  yield one("namespace of a number", map(type(0), key("nsp", [1])));
  yield one("namespace of bytes", map(type(0), key("nsp", [0xc4, 1, 0x2f])));
  yield one("namespace without a slash", map(type(0), key("nsp", str("a"))));
  yield one("namespace of no text", map(type(0), key("nsp", str(""))));
  yield one("namespace with a comma", map(type(0), key("nsp", str("/a,b"))));
  yield one("namespace beyond ASCII", map(type(0), key("nsp", str("/é😀"))));
  yield one("namespace of 512 bytes", map(type(0), key("nsp", [0xda, 2, 0, ...utf8(`/${"n".repeat(511)}`)])));
  yield one("namespace of 513 bytes", map(type(0), key("nsp", [0xda, 2, 1, ...utf8(`/${"n".repeat(512)}`)])));
  yield one("namespace that is not UTF-8", map(type(0), key("nsp", [0xa2, 0x2f, 0xff])));
  for (const [name, value] of Object.entries({
    "nil": NIL, "undefined": UNDEFINED, "a string": str("1"), "a float": [0xca, 0x3f, 0xc0, 0, 0], "a whole float": [0xca, 0x3f, 0x80, 0, 0], "minus one": [0xff], "a uint 64": [0xcf, 0, 0x1f, ...repeated(6, 0xff)],
    "2 to the power of 53": [0xcf, 0, 0x20, ...repeated(6, 0)], "the largest uint 64": [0xcf, ...repeated(8, 0xff)], "true": [0xc3], "an array": array(), "NaN": [0xcb, 0x7f, 0xf8, ...repeated(6, 0)], "infinity": [0xcb, 0x7f, 0xf0, ...repeated(6, 0)],
  })) {
    yield one(`id: ${name}`, map(type(3), id(value), data(array(str("a"))), nsp));
  }
  yield one("event with no elements", map(type(2), data(array()), nsp));
  yield one("event with a number for a name", map(type(2), data(array([1])), nsp));
  yield one("event with a whole float for a name", map(type(2), data(array([0xcb, ...repeated(8, 0)])), nsp));
  yield one("event with a fraction for a name", map(type(2), data(array([0xca, 0x3f, 0xc0, 0, 0])), nsp));
  yield one("event with a negative number for a name", map(type(2), data(array([0xff])), nsp));
  yield one("event with nil for a name", map(type(2), data(array(NIL)), nsp));
  yield one("event with a map for a name", map(type(2), data(array(map())), nsp));
  yield one("event with bytes for a name", map(type(2), data(array([0xc4, 1, 1])), nsp));
  for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "error", "__proto__"]) {
    yield one(`event with the name ${name}`, map(type(2), data(array(str(name))), nsp));
  }
  yield one("connect with an array", map(type(0), data(array()), nsp));
  yield one("connect with a date", map(type(0), data([0xd7, 0, ...repeated(6, 0), 5, 0xdc]), nsp));

  yield one("event with an extension for its data", map(type(2), data([0xc7, 1, 5, 9]), nsp));
  yield one("ack with an extension for its data", map(type(3), data([0xd4, 5, 9]), nsp));
  yield one("connect with bytes", map(type(0), data([0xc4, 1, 9]), nsp));
  yield one("connect error with an extension", map(type(4), data([0xd4, 5, 9]), nsp));
  yield one("member with a number for its key", map([5, 1], type(0), nsp));
  yield one("member with an array of its name for its key", map([...array(str("type")), 0], nsp));
  yield one("member with an array of its name for its key in a good packet", map(type(2), data(array(str("a"))), nsp, [...array(str("type")), ...array()]));
  yield one("member with bytes of its name for its key", map(type(2), data(array(str("a"))), nsp, [0xc4, 2, ...utf8("id"), 7]));
  yield one("member with __proto__ for its key", map(key("__proto__", map(type(0), nsp)), nsp));

  for (const [name, value] of Object.entries({
    "nil": NIL, "false": [0xc2], "true": [0xc3], "undefined": UNDEFINED, "fixint": [0x7f], "negative fixint": [0xe0], "minus one": [0xff],
    "uint 8": [0xcc, 0xff], "uint 16": [0xcd, 0xff, 0xff], "uint 32": [0xce, 0xff, 0xff, 0xff, 0xff], "uint 64": [0xcf, 0, 0, 1, 0, 0, 0, 0, 0], "uint 64 beyond 2 to the power of 53": [0xcf, ...repeated(8, 0xff)],
    "int 8": [0xd0, 0x80], "int 16": [0xd1, 0x80, 0], "int 32": [0xd2, 0x80, 0, 0, 0], "int 64": [0xd3, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0], "the smallest int 64": [0xd3, 0x80, ...repeated(7, 0)],
    "small number in a uint 64": [0xcf, ...repeated(7, 0), 1], "float of 32 bits": [0xca, 0x3f, 0xc0, 0, 0], "float of 64 bits": [0xcb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], "NaN": [0xcb, 0x7f, 0xf8, ...repeated(6, 0)], "infinity": [0xca, 0x7f, 0x80, 0, 0], "negative zero": [0xcb, 0x80, ...repeated(7, 0)],
    "empty string": str(""), "string beyond ASCII": str("é€😀"), "string of 8 bits": str8("x"), "string of 16 bits": str16("x"), "string of 32 bits": str32("x"), "string of 40 bytes": str8("x".repeat(40)), "string that is not UTF-8": [0xa1, 0xff], "string with a byte order mark": str("\ufeffa"),
    "bin 8": [0xc4, 3, 1, 2, 3], "empty bin": [0xc4, 0], "bin 16": [0xc5, 0, 1, 7], "bin 32": [0xc6, 0, 0, 0, 1, 7], "bin of 300 bytes": [0xc5, 1, 44, ...counting(300)],
    "empty array": array(), "array of 16 bits": [0xdc, 0, 1, 1], "array of 32 bits": [0xdd, 0, 0, 0, 1, 1], "array of 20": [0xdc, 0, 20, ...counting(20)], "nested arrays": array(array(array())),
    "empty map": map(), "map": map(key("a", [1])), "map of 16 bits": [0xde, 0, 1, ...key("a", [1])], "map with bytes inside": map(key("a", array([0xc4, 1, 9]))), "map with undefined inside": map(key("a", UNDEFINED)), "map with a key twice": map(key("a", [1]), key("a", [2])),
    "map with a number for a key": map([[5], [1]].flat()), "map with nil for a key": map([...NIL, 1]), "map with true for a key": map([0xc3, 1]), "map with an array for a key": map([...array(), 1]), "map with bytes for a key": map([0xc4, 1, 0x61, 1]), "map with undefined for a key": map([...UNDEFINED, 1]), "map with __proto__ for a key": map(key("__proto__", map(key("a", [1])))), "map with a float for a key": map([0xca, 0x3f, 0xc0, 0, 0, 1]),
    "array buffer": [0xc7, 2, 0, 1, 2], "empty array buffer": [0xc7, 0, 0], "array buffer of 16 bits": [0xc8, 0, 1, 0, 9], "array buffer of 32 bits": [0xc9, 0, 0, 0, 1, 0, 9],
    "date": [0xd7, 0, 0, 0, 0, 0, 0, 0, 5, 0xdc], "date before 1970": [0xd7, 0, ...repeated(7, 0xff), 0xff], "standard timestamp": [0xd6, 0xff, 0, 0, 0, 1], "standard timestamp of 64 bits": [0xd7, 0xff, ...repeated(8, 0)], "standard timestamp of 96 bits": [0xc7, 12, 0xff, ...repeated(12, 0)],
    "ext of another type": [0xc7, 1, 5, 9], "fixext 1": [0xd4, 1, 9], "fixext 2": [0xd5, 1, 1, 2], "fixext 2 of type 0": [0xd5, 0, 1, 2], "fixext 4": [0xd6, 1, 1, 2, 3, 4], "fixext 8": [0xd7, 1, ...counting(8)], "fixext 16": [0xd8, 1, ...counting(16)], "fixext 1 of type 0 with another byte": [0xd4, 0, 7], "placeholder": map(key("_placeholder", [0xc3]), key("num", [0])),
  })) {
    yield one(`argument: ${name}`, event(value));
  }
  yield one("argument: a hundred levels of arrays", event([...repeated(99, 0x91), 0x90]));
  yield one("argument: 500 levels of arrays", event([...repeated(499, 0x91), 0x90]));

  yield one("nothing", []);
  yield one("bytes behind the packet", map(type(0), nsp), 0);
  yield one("two packets", map(type(0), nsp), map(type(0), nsp));
  yield one("the byte that is never used", 0xc1);
  yield one("the byte that is never used as an argument", event([0xc1]));
  yield one("nil", NIL);
  yield one("a number", 5);
  yield one("an array", array([2]));
  yield one("a string", str("type"));
  yield one("undefined", UNDEFINED);
  yield one("an empty map", map());
  const whole = map(type(2), id([1]), data(array(str("hello"), [0xc4, 2, 1, 2], [0xcb, ...repeated(8, 1)])), nsp);
  for (let length = 1; length < whole.length; length += 1) yield one(`cut behind byte ${length}`, whole.slice(0, length));
  yield one("an array that announces four billion elements", map(type(2), data([0xdd, 0xff, 0xff, 0xff, 0xff]), nsp));
  yield one("a map that announces four billion entries", 0xdf, 0xff, 0xff, 0xff, 0xff);
  yield one("a string that announces four billion bytes", map(type(2), data(array([0xdb, 0xff, 0xff, 0xff, 0xff])), nsp));
  yield one("bytes that announce four billion", map(type(2), data(array([0xc6, 0xff, 0xff, 0xff, 0xff])), nsp));
  yield decode("text", "0");
  yield decode("text that is empty", "");
}

function* encoded() {
  const binary = (...values) => ({ $bytes: Buffer.from(values).toString("hex") });
  const event = (...args) => ({ type: "event", data: ["a", ...args], namespace: "/" });
  yield encode("connect of a server", { type: "connect", namespace: "/" });
  yield encode("connect of a client without a payload", { type: "connect", data: { $undefined: true }, namespace: "/" });
  yield encode("connect with a payload", { type: "connect", data: { t: "1" }, namespace: "/a" });
  yield encode("disconnect", { type: "disconnect", namespace: "/" });
  yield encode("disconnect from a namespace", { type: "disconnect", namespace: "/admin" });
  yield encode("connect error", { type: "connect_error", data: { message: "no" }, namespace: "/" });
  yield encode("connect error with undefined data", { type: "connect_error", data: { message: "no", data: { $undefined: true } }, namespace: "/" });
  yield encode("connect error of a string", { type: "connect_error", data: "no", namespace: "/" });
  yield encode("event", event(1));
  yield encode("event of a client", { type: "event", data: ["hello", 1], options: { compress: true }, namespace: "/" });
  yield encode("event of a client with an id", { type: "event", data: ["hello", 1], options: { compress: true }, id: 0, namespace: "/" });
  yield encode("event of a server with an id", { type: "event", data: ["a"], id: 5, namespace: "/" });
  yield encode("broadcast with an id", { type: "event", data: ["a"], namespace: "/", id: 5 });
  yield encode("ack of a client", { type: "ack", id: 12, data: ["ok"], namespace: "/" });
  yield encode("ack of a server", { id: 12, type: "ack", data: ["ok"], namespace: "/" });
  yield encode("ack without arguments", { type: "ack", id: 12, data: [], namespace: "/" });
  yield encode("event in a namespace", { type: "event", data: ["a"], namespace: "/admin" });
  for (const number of [0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 1099511627776, 9007199254740991, -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, -9007199254740991, 1.5, -0.1, 1e21, 1e300, 5e-324]) {
    yield encode(`number ${number}`, event(number));
  }
  yield encode("numbers that JSON has not", event({ $float: "NaN" }, { $float: "Infinity" }, { $float: "-Infinity" }));
  yield encode("null, true and false", event(null, true, false));
  yield encode("undefined", event({ $undefined: true }));
  yield encode("undefined in an object", event({ a: { $undefined: true } }));
  for (const length of [0, 1, 31, 32, 255, 256, 65535, 65536]) {
    yield encode(`string of ${length} bytes`, event("x".repeat(length)));
    if (length < 1000) yield encode(`${length} bytes`, event(binary(...counting(length))));
  }
  yield encode("string beyond ASCII", event("é€😀"));
  yield encode("string of 31 bytes beyond ASCII", event("é".repeat(15)));
  yield encode("string of 32 bytes beyond ASCII", event("é".repeat(16)));
  for (const length of [0, 1, 14, 15, 16, 40]) {
    yield encode(`event with ${length} arguments`, event(...repeated(length, 0)));
    yield encode(`array of ${length}`, event(repeated(length, 0)));
    yield encode(`map of ${length}`, event(Object.fromEntries(counting(length).map((value) => [`k${value}`, value]))));
  }
  yield encode("nested values with bytes", event({ a: [{ b: binary(1) }], c: binary() }, [[binary(2)]]));
  yield encode("something that looks like a placeholder", event({ _placeholder: true, num: 0 }));
  for (const name of ["connect", "disconnecting", "error", "é"]) yield encode(`event with the name ${name}`, { type: "event", data: [name], namespace: "/" });
}

export const cases = {
  "socketio5-msgpack": (function* () {
    yield* decoded();
    yield* encoded();
  })(),
};
