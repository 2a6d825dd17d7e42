// Tests an echo server with a custom parser, with socket.io-client and the same parser. The mode is the parser and the transport.

import assert from "node:assert/strict";
import { atEnd, load, mode, next, run, url } from "./checks.mjs";
import * as custom from "./custom_parser.mjs";
import { bytes, megabyteOfBytes, megabyteOfText, texts, values as all } from "./samples.mjs";

const { Manager } = load("socket.io-client");

const [format, transport] = mode.split(" ");
const parser = format === "custom" ? custom : load("socket.io-msgpack-parser");
// The JavaScript parser loses the upper bits of integers beyond 64 bits.
const values = format === "custom" ? all : all.filter((value) => value !== 1e21);
const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

function manager(options = {}) {
  const created = new Manager(url, { parser, transports: TRANSPORTS[transport], autoConnect: false, reconnection: false, ...options });
  atEnd(() => created._close());
  return created;
}

async function connected(on = manager(), namespace = "/", auth = undefined) {
  const socket = on.socket(namespace, { auth });
  const connect = next(socket, "connect");
  socket.connect();
  await connect;
  if (transport === "upgrade" && on.engine.transport.name !== "websocket") await next(on.engine, "upgrade");
  return socket;
}

async function echoed(socket, ...args) {
  const answer = next(socket, "message-back");
  socket.emit("message", ...args);
  assert.deepStrictEqual(await answer, args);
}

await run({
  async values_and_binary_come_back() {
    const socket = await connected();
    for (const text of texts) await echoed(socket, text);
    await echoed(socket);
    await echoed(socket, ...texts, ...values);
    await echoed(socket, bytes, Buffer.alloc(0), { first: bytes, nested: [{ second: Buffer.from([1]) }, null] }, "text");
    await echoed(socket, megabyteOfBytes, megabyteOfText);
  },

  async namespaces_share_a_connection_and_get_what_connect_carried() {
    const on = manager();
    const sockets = await Promise.all(["/", "/custom"].map(async (namespace) => {
      const socket = on.socket(namespace, { auth: { token: "é", bytes: [1, 2] } });
      const auth = next(socket, "auth");
      socket.connect();
      assert.deepStrictEqual(await auth, [{ token: "é", bytes: [1, 2] }]);
      return socket;
    }));
    await Promise.all(sockets.map((socket) => echoed(socket, socket.nsp, bytes)));
  },

  async both_ends_acknowledge() {
    const socket = await connected();
    const args = [...values, bytes, { more: [Buffer.alloc(0)] }];
    const answer = await new Promise((resolve) => socket.emit("message-with-ack", ...args, (...acked) => resolve(acked)));
    assert.deepStrictEqual(answer, args);
    socket.on("question", (...questions) => questions.pop()(...questions, "and more"));
    const asked = next(socket, "answer");
    socket.emit("ask", ...args);
    assert.deepStrictEqual(await asked, [...args, "and more"]);
    const many = Array.from({ length: 100 }, (_, index) => index);
    assert.deepStrictEqual(await Promise.all(many.map((index) => socket.emitWithAck("message-with-ack", index))), many);
  },

  async a_broadcast_reaches_everybody() {
    const sockets = [await connected(), await connected(), await connected()];
    const received = Promise.all(sockets.map((socket) => next(socket, "broadcast-back")));
    sockets[1].emit("broadcast", "all", bytes);
    for (const args of await received) assert.deepStrictEqual(args, ["all", bytes]);
  },

  async a_client_that_takes_text_alone_gets_base64() {
    const on = manager({ forceBase64: true });
    const socket = await connected(on);
    const frames = [];
    on.engine.transport.ws?.on("message", (_, isBinary) => frames.push(isBinary ? "binary" : "text"));
    await echoed(socket, "text", bytes, { more: Buffer.alloc(0) });
    assert.deepStrictEqual(frames, transport === "polling" ? [] : ["text"]);
  },

  async a_refusal_says_why_and_the_connection_stays() {
    const on = manager();
    const socket = await connected(on);
    const unknown = on.socket("/unknown");
    const refused = next(unknown, "connect_error");
    unknown.connect();
    assert.equal((await refused)[0].message, "Invalid namespace");
    await echoed(socket, "still here");
  },

  async the_server_disconnects_a_socket() {
    const socket = await connected();
    const disconnect = next(socket, "disconnect");
    socket.emit("disconnect-me");
    assert.equal((await disconnect)[0], "io server disconnect");
  },

  async what_is_no_packet_ends_that_connection_alone() {
    const [bad, good] = [await connected(), await connected()];
    const disconnect = next(bad, "disconnect");
    bad.io.engine.write(Buffer.from([0xc1]));
    assert.equal((await disconnect)[0], "transport close");
    await echoed(good, "still here");
  },

  async what_json_does_not_have_comes_back() {
    const socket = await connected();
    const { buffer } = Uint8Array.from(bytes);
    await echoed(socket, undefined, { missing: undefined }, new Date(1500), new Date(-1), NaN, -Infinity, 2 ** 60, buffer);
    const answer = await socket.emitWithAck("message-with-ack", [new Date(0), [undefined]]);
    assert.deepStrictEqual(answer, [new Date(0), [undefined]]);
  },
});
