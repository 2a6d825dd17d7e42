// The default parser of Socket.IO, protocols 5 and 4. Both get the same texts, so that inputs that one rejects are tested with the other.

import { bytes, counting, decode, encode, named, repeated } from "./common.mjs";

const TYPES = ["connect", "disconnect", "event", "ack", "connect_error", "event with attachments", "ack with attachments"];

const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

const hole = (num, more = {}) => ({ _placeholder: true, num, ...more });

// Every kind of payload with every packet type.
const PAYLOADS = {
  nothing: "",
  "an empty object": "{}",
  "an object": '{"a":1}',
  "an empty array": "[]",
  "a string in an array": '["a"]',
  "a string and values": '["a",1,{"b":[null,true]}]',
  "a number in an array": "[1]",
  "null in an array": "[null]",
  "true in an array": "[true]",
  "an array in an array": "[[]]",
  "an object in an array": "[{}]",
  null: "null",
  "a string": '"x"',
  "an empty string": '""',
  true: "true",
  "broken JSON": '["a"',
  "JSON with something behind it": '["a"]x',
  word: "abc",
};

function* matrix() {
  for (const [digit, type] of TYPES.entries()) {
    const head = digit > 4 ? `${digit}1-` : `${digit}`;
    for (const [name, payload] of Object.entries(PAYLOADS)) {
      yield decode(`${type}: ${name}`, digit > 4 ? [head + payload, bytes(1)] : [head + payload]);
    }
    const payload = ["", "", '["a"]', '["a"]', '{"message":"no"}', '["a"]', '["a"]'][digit];
    for (const namespace of ["/", "/,", "/admin", "/admin,", "/a/b,", "/é😀,", "/a?token=1&b=2,", "/a b,", '/a["x"],', "/12,", "admin,", ","]) {
      const input = head + namespace + payload;
      yield decode(`${type}: namespace written ${named(namespace)}`, digit > 4 ? [input, bytes(1)] : [input]);
    }
    for (const id of ["0", "1", "12", "007"]) {
      yield decode(`${type}: id ${id}`, digit > 4 ? [head + id + payload, bytes(1)] : [head + id + payload]);
      yield decode(`${type}: id ${id} in a namespace`, digit > 4 ? [`${head}/a,${id}${payload}`, bytes(1)] : [`${head}/a,${id}${payload}`]);
    }
  }
}

function* texts() {
  yield decode("nothing", "");
  for (const first of ["7", "8", "9", "8[]", "a", "-", " ", "\t", "\u00a0", "\ufeff", "\u2028", "é", "😀", "٠", "/", "[", '"', "\u0000"]) {
    yield decode(`not a type: ${named(first)}`, first);
  }
  yield decode("space for a type, with a payload", " {}");
  yield decode("connect with two digits and a payload", "012{}");
  yield decode("connect with an id and a payload", "00{}");
  yield decode("connect with a comma in its namespace", "0/a,b");
  yield decode("connect with a query and a payload", '0/admin?token=1,{"a":1}');
  yield decode("event with letters behind its type", '2abc["a"]');
  yield decode("ack with an id and an object", "31{}");
  yield decode("disconnect with an id", "112");
  yield decode("event with a digit for a name", '21["2"]');
  for (const id of ["9007199254740991", "9007199254740992", "9007199254740993", "99999999999999999999", "9".repeat(30), "0".repeat(20), `${"0".repeat(16)}1`, "4294967296", "2147483648"]) {
    yield decode(`id ${id.length > 20 ? `of ${id.length} digits` : id}`, `2${id}["a"]`);
    yield decode(`ack id ${id.length > 20 ? `of ${id.length} digits` : id}`, `3${id}["a"]`);
  }
  for (const id of ["-1", "+1", "1.5", "1e3", "0x1", " ", " 7", "7 ", "7 7", "\t", "\n", "\u00a0", "\ufeff", "١", "１", "a", "-", "_", "1_0", "1n"]) {
    yield decode(`not an id: ${named(id)}`, `2${id}["a"]`);
    yield decode(`not an id of an ack: ${named(id)}`, `3${id}["a"]`);
  }
  yield decode("event with a space behind its type", '2 ["a"]');
  yield decode("event with a space behind its namespace", '2/a, ["a"]');
  yield decode("connect with a space before its payload", "0 {}");
  yield decode("event with a space behind its payload", '2["a"] ');
  yield decode("event with white space of every kind in its payload", '2[ \t\r\n"a" , 1 ] \n');
  yield decode("event with a form feed in its payload", '2["a"\f]');
  yield decode("event with a byte order mark in its payload", '2["a",\ufeff1]');
  for (const name of RESERVED) {
    yield decode(`reserved name ${name}`, `2["${name}",1]`);
    yield decode(`reserved name ${name} as an argument`, `2["a","${name}"]`);
    yield decode(`reserved name ${name} in an ack`, `3["${name}"]`);
  }
  yield decode("reserved name with an escape", '2["\\u0063onnect"]');
  yield decode("reserved name in another case", '2["Connect"]');
  yield decode("reserved name of an event with attachments", ['51-["connect",{"_placeholder":true,"num":0}]', bytes(1)]);
  for (const name of ["error", "connection", "message", "__proto__", "constructor", "", " ", "é", "😀", "a b", "ping", "reconnect", "connecting"]) {
    yield decode(`name ${named(name)}`, `2${JSON.stringify([name, 1])}`);
  }
  for (const [what, name] of [["quote", '\\"'], ["backslash", "\\\\"], ["line feed", "\\n"], ["pair of surrogates", "\\ud83d\\ude00"], ["first half of a pair", "\\ud83d"], ["second half of a pair", "\\ude00"], ["zero", "\\u0000"]]) {
    yield decode(`name with an escaped ${what}`, `2["x${name}y"]`);
    yield decode(`argument with an escaped ${what}`, `2["a","x${name}y"]`);
  }
  for (const name of ["0", "-0", "-1", "1.5", "1e3", "1E-3", "9007199254740993", "1e400", "-1e400"]) yield decode(`name that is the number ${name}`, `2[${name}]`);
  for (const value of ["01", "+1", ".5", "1.", "1e", "0x1", "NaN", "Infinity", "-", "undefined", "True", "'a'", '"a', '"\\x"', '"\\u12"', '"\t"', "[1,]", "[,1]", '{"a"}', '{"a":}', "{a:1}", '{"a":1,}', "{,}", "[1 2]", "//", "", " "]) {
    yield decode(`not JSON: ${named(value)}`, `2["a",${value}]`);
  }
  for (const value of ["0", "-0", "1e5", "1E+5", "1.0", "0.1", "123456789012345678901234567890", "9007199254740993", "1e400", "-1e400", "1e-400", "5e-324", "1.7976931348623157e308", "0.30000000000000004", "true", "false", "null", '""', "[]", "{}", "[[[[]]]]", '{"a":{"b":{"c":null}}}', '"\\u001e"', '"\u007f"', '"\u2028"', '{"":0}', '{"a":1,"a":2}', '{"__proto__":{"a":1}}', '{"1":1,"0":0}', '{"\\ud800":1}', '"\\/\\b\\f\\n\\r\\t"', '"😀"']) {
    yield decode(`value ${named(value)}`, `2["a",${value}]`);
  }
  yield decode("forty arguments", `2${JSON.stringify(["a", ...counting(40)])}`);
  yield decode("a hundred levels of arrays", `2["a",${"[".repeat(99)}${"]".repeat(99)}]`);
  yield decode("127 levels of arrays", `2["a",${"[".repeat(126)}${"]".repeat(126)}]`);
  yield decode("128 levels of arrays", `2["a",${"[".repeat(127)}${"]".repeat(127)}]`);
  yield decode("129 levels of arrays", `2["a",${"[".repeat(128)}${"]".repeat(128)}]`);
  yield decode("127 levels of one argument", `3[${"[".repeat(127)}${"]".repeat(127)}]`);
  yield decode("127 levels of one value", `0${'{"a":'.repeat(127)}1${"}".repeat(127)}`);
  yield decode("128 levels of one value", `0${'{"a":'.repeat(128)}1${"}".repeat(128)}`);
  yield decode("129 levels of one value", `0${'{"a":'.repeat(129)}1${"}".repeat(129)}`);
  yield decode("500 levels of objects", `2["a",${'{"a":'.repeat(499)}1${"}".repeat(499)}]`);
  yield decode("a namespace of 512 bytes", `0/${"n".repeat(511)},`);
  yield decode("a namespace of 513 bytes", `0/${"n".repeat(512)},`);
  yield decode("no comma behind the namespace of an event", '2/nsp12["a"]');
  yield decode("comma inside the payload without a comma behind the namespace", '2/nsp["a","b"]');
  yield decode("several packets in a row", ["0", '2["a"]', '31["b"]', "1"]);
  yield decode("a good packet and a bad one", ['2["a"]', "2{}", '2["b"]']);
  yield decode("error of protocol 4 with a plain text", '4/zzz,"Invalid namespace"');
  yield decode("error of protocol 5", '4/zzz,{"message":"Invalid namespace"}');
  yield decode("the reply to a connect", '0{"sid":"oSO0OpakMV_3jnilAAAA"}');
  yield decode("the reply to a connect with recovery", '0{"sid":"oSO0OpakMV_3jnilAAAA","pid":"Jq9Hqk0WGgtcuLYgAAAB"}');
  yield decode("number for the payload of an error", "4/a,1");
}

function* attachments() {
  const event = (count, ...args) => `5${count}-${JSON.stringify(["a", ...args])}`;
  yield decode("one attachment", [event(1, hole(0)), bytes(1, 2, 3)]);
  yield decode("an empty attachment", [event(1, hole(0)), bytes()]);
  yield decode("two attachments", [event(2, hole(0), hole(1)), bytes(1), bytes(2)]);
  yield decode("attachments with a namespace and an id", ['52-/admin,456["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', bytes(1), bytes(2)]);
  yield decode("attachments of an ack", ['61-789[{"_placeholder":true,"num":0}]', bytes(1)]);
  yield decode("attachments of an ack without an id", ['61-[{"_placeholder":true,"num":0}]', bytes(1)]);
  yield decode("ten attachments", [event(10, ...counting(10).map((num) => hole(num))), ...counting(10).map((value) => bytes(value))]);
  yield decode("eleven attachments", event(11, hole(0)));
  yield decode("a hundred attachments", event(100, hole(0)));
  yield decode("attachments in the other order", [event(2, hole(1), hole(0)), bytes(1), bytes(2)]);
  yield decode("the same attachment twice", [event(1, hole(0), hole(0)), bytes(1)]);
  yield decode("an attachment that no placeholder names", [event(2, hole(1)), bytes(1), bytes(2)]);
  yield decode("attachments and no placeholder", [event(1, "x"), bytes(1)]);
  yield decode("placeholders deep inside", [event(2, { x: [{ y: hole(1) }], z: hole(0) }), bytes(1), bytes(2)]);
  yield decode("a placeholder with more keys", [event(1, hole(0, { more: 1 })), bytes(1)]);
  yield decode("a placeholder with its keys in the other order", [event(1, { num: 0, _placeholder: true }), bytes(1)]);
  yield decode("a placeholder with white space", ['51-["a",{ "_placeholder" : true , "num" : 0 }]', bytes(1)]);
  yield decode("a placeholder with escapes in its keys", ['51-["a",{"_plac\\u0065holder":true,"n\\u0075m":0}]', bytes(1)]);
  yield decode("a placeholder with its flag twice, true last", ['51-["a",{"_placeholder":false,"_placeholder":true,"num":0}]', bytes(1)]);
  yield decode("a placeholder with its flag twice, false last", ['51-["a",{"_placeholder":true,"_placeholder":false,"num":0}]', bytes(1)]);
  yield decode("a placeholder with its number twice", ['52-["a",{"_placeholder":true,"num":0,"num":1}]', bytes(1), bytes(2)]);
  yield decode("a bad placeholder under a key that comes again", ['51-["a",{"b":{"_placeholder":true,"num":7},"b":1}]', bytes(1)]);
  yield decode("a good placeholder under a key that comes again", ['51-["a",{"b":{"_placeholder":true,"num":0},"b":1}]', bytes(1)]);
  yield decode("a number out of range under a key that comes again", '2["a",{"b":1e400,"b":1}]');
  yield decode("a placeholder inside a placeholder", [event(2, hole(0, { in: hole(1) })), bytes(1), bytes(2)]);
  yield decode("a placeholder as an event's name", ['51-[{"_placeholder":true,"num":0}]', bytes(1)]);
  yield decode("a placeholder in the argument behind a number as name", ['51-[1,{"_placeholder":true,"num":0}]', bytes(1)]);
  for (const flag of ["1", '"true"', "false", "null", "{}"]) yield decode(`a flag that is ${flag}`, [`51-["a",{"_placeholder":${flag},"num":0}]`, bytes(1)]);
  for (const num of ["1", "-1", "0.5", "1e0", "0e0", "0.0", "-0", "1e400", '"0"', "null", "true", "{}", "[0]", "9007199254740993"]) {
    yield decode(`a placeholder with the number ${num}`, [`51-["a",{"_placeholder":true,"num":${num}}]`, bytes(1)]);
  }
  yield decode("a placeholder without a number", ['51-["a",{"_placeholder":true}]', bytes(1)]);
  yield decode("a placeholder in an event without attachments", '2["a",{"_placeholder":true,"num":0}]');
  yield decode("a placeholder in an ack without attachments", '31[{"_placeholder":true,"num":0}]');
  for (const count of ["", "0", "-1", "1.5", "1.0", "01", "+1", " 1", "1 ", "1e0", "1e1", "2e0", "0x1", "0b1", "NaN", "Infinity", "a", "0000000000000001", "99999999999", "٣"]) {
    yield decode(`attachment count written ${named(count)}`, [`5${count}-["a"]`, bytes(1)]);
    yield decode(`attachment count of an ack written ${named(count)}`, [`6${count}-["a"]`, bytes(1)]);
  }
  yield decode("attachment count without a dash", '51["a"]');
  yield decode("no attachment count and no dash", '5["a"]');
  yield decode("attachment count alone", "51");
  yield decode("attachment count and a dash alone", "51-");
  yield decode("attachment count twice", '51-1-["a"]');
  yield decode("dash only in the payload", '5["a-"]');
  yield decode("type alone of an event with attachments", "5");
  yield decode("type alone of an ack with attachments", "6");
  yield decode("text while attachments are awaited", [event(1, hole(0)), '2["b"]']);
  yield decode("text after one of two attachments", [event(2, hole(0), hole(1)), bytes(1), '2["b"]']);
  yield decode("bytes without a packet", [bytes(1)]);
  yield decode("bytes behind a packet without attachments", ['2["a"]', bytes(1)]);
  yield decode("bytes behind the last attachment", [event(1, hole(0)), bytes(1), bytes(2)]);
  yield decode("an event between packets with attachments", [event(1, hole(0)), bytes(1), '2["b"]', event(1, hole(0)), bytes(2)]);
  yield decode("attachments that have not all come", [event(2, hole(0), hole(1)), bytes(1)]);
  yield decode("a broken payload before its attachments", ['51-["a"', bytes(1)]);
  yield decode("a bad placeholder before its attachments have come", [event(1, hole(5))]);
}

function* encoded(errors) {
  const binary = (...values) => ({ $bytes: Buffer.from(values).toString("hex") });
  const event = (data, more = {}) => ({ type: "event", namespace: "/", ...more, data });
  const ack = (data, more = {}) => ({ type: "ack", namespace: "/", id: 1, ...more, data });
  yield encode("connect", { type: "connect", namespace: "/" });
  yield encode("connect to a namespace", { type: "connect", namespace: "/admin" });
  if (errors === "object") {
    yield encode("connect with a payload", { type: "connect", namespace: "/", data: { token: "123" } });
    yield encode("connect to a namespace with a payload", { type: "connect", namespace: "/admin", data: { sid: "a" } });
    yield encode("connect with an empty payload", { type: "connect", namespace: "/", data: {} });
  } else {
    yield encode("connect to a namespace with a query", { type: "connect", namespace: "/admin?token=1" });
  }
  yield encode("disconnect", { type: "disconnect", namespace: "/" });
  yield encode("disconnect from a namespace", { type: "disconnect", namespace: "/admin" });
  yield encode("connect error of an object", { type: "connect_error", namespace: "/", data: { message: "no" } });
  yield encode("connect error of an object with data", { type: "connect_error", namespace: "/a", data: { message: "no", data: { code: 1 } } });
  yield encode("connect error of a string", { type: "connect_error", namespace: "/a", data: "Invalid namespace" });
  yield encode("event without arguments", event(["a"]));
  yield encode("event with arguments", event(["a", 1, "b", null, true, [], {}]));
  yield encode("event with an id", event(["a"], { id: 12 }));
  yield encode("event with id 0", event(["a"], { id: 0 }));
  yield encode("event with a large id", event(["a"], { id: 9007199254740991 }));
  yield encode("event in a namespace", event(["a"], { namespace: "/admin" }));
  yield encode("event in a namespace with an id", event(["a"], { namespace: "/é", id: 7 }));
  yield encode("ack without arguments", ack([]));
  yield encode("ack with arguments", ack(["a", { b: 1 }]));
  yield encode("ack in a namespace", ack([1], { namespace: "/admin", id: 13 }));
  for (const name of ["", "é", "a\nb", 'a"b', "a\\b", "\u001e", "\u0000", "\u2028", "\u007f", "😀", "message", "error"]) yield encode(`event with the name ${named(name)}`, event([name]));
  for (const name of RESERVED) yield encode(`event with the reserved name ${name}`, event([name]));
  for (const text of ["", 'quote"', "back\\slash", "/", "\b\f\n\r\t", "\u0000\u0001\u001f", "\u001e", "\u007f\u0080", "\u2028\u2029", "é€😀", "</script>", "\ufeff", "\ufffd"]) {
    yield encode(`text ${named(text)}`, event(["a", text]));
  }
  for (const number of [0, -1, 1, 1.5, -0.5, 0.1, 1e3, 1e20, 1e21, 1e22, 123456789012345680000, 1.5e300, -1e21, 1e-6, 1e-7, 1.5e-7, 5e-324, 1.7976931348623157e308, 0.30000000000000004, 4294967296, 9007199254740991, -9007199254740991, 100, 1e16, 1.25e18, 1121462925260588.25, 277840472908152.625]) {
    yield encode(`number ${number}`, event(["a", number]));
  }
  yield encode("numbers that JSON has not", event(["a", { $float: "NaN" }, { $float: "Infinity" }, { $float: "-Infinity" }]));
  yield encode("undefined", event(["a", { $undefined: true }, [{ $undefined: true }]]));
  yield encode("nested values", event(["a", { b: { c: [1, [2, [3]]] }, d: null }]));
  yield encode("keys that need escapes", event(["a", { 'q"': 1, "\n": 2, é: 3, "": 4 }]));
  yield encode("keys that are numbers", event(["a", { 1: "a", 2: "b" }]));
  yield encode("one attachment", event(["a", binary(1, 2, 3)]));
  yield encode("an empty attachment", event(["a", binary()]));
  yield encode("two attachments", event(["a", binary(1), "x", binary(2)]));
  yield encode("attachments with a namespace and an id", event(["a", binary(1), binary(2)], { namespace: "/admin", id: 456 }));
  yield encode("attachments deep inside", event(["a", { x: [{ y: binary(1) }], z: binary(2) }, binary(3)]));
  yield encode("the same bytes twice", event(["a", binary(9), binary(9)]));
  yield encode("ack with an attachment", ack([binary(1)], { id: 789 }));
  yield encode("ack with attachments in a namespace", ack([binary(1), { a: binary(2) }], { namespace: "/a", id: 3 }));
  yield encode("ten attachments", event(["a", ...counting(10).map((value) => binary(value))]));
  yield encode("eleven attachments", event(["a", ...counting(11).map((value) => binary(value))]));
  yield encode("something that looks like a placeholder", event(["a", { _placeholder: true, num: 0 }]));
  yield encode("something that looks like a placeholder, and an attachment", event(["a", { _placeholder: true, num: 0 }, binary(1)]));
  yield encode("a hundred arguments", event(["a", ...repeated(100, 0)]));
}

function* both(errors) {
  yield* matrix();
  yield* texts();
  yield* attachments();
  yield* encoded(errors);
}

export const cases = { socketio5: both("object"), socketio4: both("text") };
