// Runs the codecs of the reference on the same inputs. Prints one JSON object per line, for `codec-bench --node`.
// Requires ../compare/peers/node/node_modules.
const path = require("path");
const req = (name) => require(path.join(__dirname, "../compare/peers/node/node_modules", name));
const { Encoder, Decoder } = req("socket.io-parser");
const engine = req("engine.io-parser");
const msgpack = req("socket.io-msgpack-parser");

function measure(input, task, packets, work) {
  for (let i = 0; i < 2000; i++) work();
  const timed = (times) => {
    const start = process.cpuUsage();
    for (let i = 0; i < times; i++) work();
    const used = process.cpuUsage(start);
    return used.user + used.system;
  };
  let times = 1;
  while (timed(times) < 8000) times *= 2;
  const samples = Array.from({ length: 9 }, () => (timed(times) * 1000) / times / packets).sort((a, b) => a - b);
  console.log(JSON.stringify({ input, task, ns: +samples[4].toFixed(1) }));
}

function object(size) {
  const made = { items: [], n: null };
  while (JSON.stringify(made).length < size - 60 || !made.items.length) {
    const id = made.items.length;
    made.items.push({ id, name: `user ${id}`, ok: true, v: id * 7 + 0.5, tags: ["a", "b"] });
  }
  return made;
}

const encoder = new Encoder(), decoder = new Decoder();
decoder.on("decoded", () => {});
const packer = new msgpack.Encoder(), unpacker = new msgpack.Decoder();
unpacker.on("decoded", () => {});
const hello = ["message", "hello"];
for (const [input, packet] of [
  ["small event", { type: 2, nsp: "/", data: hello }],
  ["event ns+ack", { type: 2, nsp: "/chat", id: 12, data: hello }],
  ["json 1KiB", { type: 2, nsp: "/", data: ["message", object(1024)] }],
  ["json 16KiB", { type: 2, nsp: "/", data: ["message", object(16384)] }],
]) {
  const wire = encoder.encode({ ...packet })[0];
  measure(input, "decode to a general value", 1, () => decoder.add(engine.decodePacket("4" + wire).data));
  measure(input, "encode", 1, () => encoder.encode({ ...packet }));
  if (input === "event ns+ack") continue;
  const packed = packer.encode(packet)[0];
  const name = "msgpack " + input.replace("json ", "");
  measure(name, "decode to its type", 1, () => unpacker.add(packed));
  measure(name, "encode", 1, () => packer.encode(packet));
}
for (const count of [1, 4]) {
  const data = ["message", ...Array.from({ length: count }, () => Buffer.alloc(1024, 1))];
  const messages = encoder.encode({ type: 2, nsp: "/", data });
  measure(`binary ${count} x 1KiB`, "decode", 1, () => messages.forEach((message) => decoder.add(message)));
  measure(`binary ${count} x 1KiB`, "encode", 1, () => encoder.encode({ type: 2, nsp: "/", data }));
}
for (const count of [1, 10, 100]) {
  const packets = Array.from({ length: count }, () => ({ type: "message", data: '2["message","hello"]' }));
  let body;
  engine.encodePayload(packets, (encoded) => (body = encoded));
  measure(`payload x${count}`, "decode", count, () => engine.decodePayload(body));
  measure(`payload x${count}`, "encode", count, () => engine.encodePayload(packets, () => {}));
}
for (const [size, name] of [[1024, "1KiB"], [65536, "64KiB"]]) {
  const data = Buffer.alloc(size, 7);
  const text = "b" + data.toString("base64");
  measure(`base64 ${name}`, "decode", 1, () => engine.decodePacket(text));
  measure(`base64 ${name}`, "encode", 1, () => engine.encodePacket({ type: "message", data }, false, () => {}));
}
