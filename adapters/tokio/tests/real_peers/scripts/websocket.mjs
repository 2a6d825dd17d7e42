// Tests our WebSocket crate with Node's `ws`. The mode is the role of Node's end, and `deflate` if both ends compress every message.

import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, deflateRawSync } from "node:zlib";
import { ask, atEnd, load, mode as roleAndMore, next, run, url } from "./checks.mjs";
import { bytes, megabyteOfBytes, megabyteOfText, texts } from "./samples.mjs";

const { WebSocket, WebSocketServer } = load("ws");

const [mode, deflate] = roleAndMore.split(" ");
const COMPRESSES_ALL = { threshold: 0 };

let listening;
// Selects one of the subprotocols that our end offers: the function that `ws` expects, or the first one.
let select;

async function opened(offered = [], perMessageDeflate = COMPRESSES_ALL) {
  let socket;
  if (mode === "client") {
    // It offers compression, which our end only accepts if the mode says so.
    socket = new WebSocket(url.replace("http", "ws"), offered, { perMessageDeflate });
    await next(socket, "open");
  } else {
    if (!listening) {
      const handleProtocols = (protocols) => (select ? select(protocols) : protocols.values().next().value);
      listening = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: COMPRESSES_ALL, handleProtocols });
      await once(listening, "listening");
    }
    const connection = once(listening, "connection");
    await ask(`dial ${listening.address().port}`);
    [socket] = await connection;
  }
  assert.equal(socket.extensions, deflate ? "permessage-deflate" : "");
  socket.dialledFrom = mode === "client" ? socket._socket.localPort : socket._socket.remotePort;
  // The check that waits for another event reports an error.
  socket.on("error", () => {});
  atEnd(() => socket.terminate());
  return socket;
}

async function message(socket) {
  const [data, isBinary] = await next(socket, "message");
  return isBinary ? data : data.toString();
}

async function echoed(socket, data) {
  const answer = message(socket);
  socket.send(data);
  assert.deepStrictEqual(await answer, data);
}

// How the connection ended for our end. Connections of earlier checks may end at the same time.
async function seenEnd(of) {
  const socket = await opened();
  const answer = message(socket);
  socket.send(`closed ${of.dialledFrom}`);
  return answer;
}

async function closed(socket) {
  const [code, reason] = await next(socket, "close", []);
  return [code, reason.toString()];
}

await run({
  async text_and_binary_come_back() {
    const socket = await opened();
    for (const text of texts) await echoed(socket, text);
    await echoed(socket, Buffer.alloc(0));
    await echoed(socket, bytes);
    // The lengths on both sides of every change of the length encoding.
    for (const length of [1, 124, 125, 126, 127, 65_535, 65_536, 65_537]) {
      await echoed(socket, Buffer.alloc(length, length));
      await echoed(socket, "x".repeat(length));
    }
  },

  async a_subprotocol_that_is_offered_is_selected_and_nothing_else_will_do() {
    if (mode === "client") {
      for (const offered of [["b", "a"], ["b"], []]) assert.equal((await opened(offered)).protocol, offered[0] ?? "");
      return;
    }
    assert.equal((await opened()).protocol, "chat");
    atEnd(() => (select = undefined));
    select = (protocols) => [...protocols].at(-1);
    const socket = await opened();
    assert.equal(socket.protocol, "superchat");
    await echoed(socket, "hello");
    for (select of [() => false, () => "other"]) assert.equal((await closed(await opened()))[0], 1006);
  },

  async a_megabyte_comes_back() {
    const socket = await opened();
    await echoed(socket, megabyteOfBytes);
    await echoed(socket, megabyteOfText);
    await echoed(socket, "€".repeat(600_000));
  },

  async a_thousand_messages_keep_their_order() {
    const socket = await opened();
    const seen = [];
    const finished = new Promise((resolve) => {
      socket.on("message", (data) => {
        seen.push(data.toString());
        if (seen.length === 1000) resolve();
      });
    });
    const sent = Array.from({ length: 1000 }, (_, index) => `${index} ${"x".repeat(index)}`);
    for (const text of sent) socket.send(text);
    await finished;
    assert.deepStrictEqual(seen, sent);
  },

  async fragments_make_one_message_with_a_ping_between_them() {
    const socket = await opened();
    const pong = next(socket, "pong");
    const answer = message(socket);
    const euro = Buffer.from("€");
    // Split within a character.
    socket.send(Buffer.concat([Buffer.from("one, "), euro.subarray(0, 1)]), { fin: false, binary: false });
    socket.ping("between");
    socket.send(Buffer.concat([euro.subarray(1), Buffer.from(", two")]), { fin: false, binary: false });
    socket.send("", { fin: false });
    socket.send(" and three", { fin: true });
    assert.equal((await pong)[0].toString(), "between");
    assert.equal(await answer, "one, €, two and three");
    await echoed(socket, bytes);
  },

  async our_end_answers_pings() {
    const socket = await opened();
    for (const payload of [Buffer.alloc(0), bytes.subarray(0, 125)]) {
      const pong = next(socket, "pong");
      socket.ping(payload);
      assert.deepStrictEqual((await pong)[0], payload);
    }
  },

  async our_pings_are_answered() {
    const socket = await opened();
    const ping = next(socket, "ping");
    const answer = message(socket);
    socket.send("ping are you there?");
    assert.equal((await ping)[0].toString(), "are you there?");
    assert.equal(await answer, "pong are you there?");
  },

  async node_closes() {
    const socket = await opened();
    const close = closed(socket);
    socket.close(4001, "grüße");
    assert.deepStrictEqual(await close, [4001, "grüße"]);
    assert.equal(await seenEnd(socket), "peer 4001 grüße");
  },

  async node_closes_without_a_code() {
    const socket = await opened();
    const close = closed(socket);
    socket.close();
    assert.deepStrictEqual(await close, [1005, ""]);
    assert.equal(await seenEnd(socket), "peer");
  },

  async our_end_closes() {
    const socket = await opened();
    const close = closed(socket);
    socket.send("close 4002 auf Wiedersehen, grüße");
    assert.deepStrictEqual(await close, [4002, "auf Wiedersehen, grüße"]);
  },

  async messages_before_a_close_are_still_answered() {
    const socket = await opened();
    const seen = [];
    socket.on("message", (data) => seen.push(data.toString()));
    const close = closed(socket);
    socket.send("first");
    socket.send("second");
    socket.close(1000, "done");
    assert.equal((await close)[0], 1000);
    assert.deepStrictEqual(seen, ["first", "second"]);
  },

  async a_connection_that_just_ends_is_lost() {
    const socket = await opened();
    await echoed(socket, "hello");
    const close = closed(socket);
    socket._socket.end();
    await close;
    assert.equal(await seenEnd(socket), "lost");
  },

  async a_message_over_the_limit_is_refused() {
    const socket = await opened();
    const close = closed(socket);
    socket.send(Buffer.alloc(2_000_001));
    assert.equal((await close)[0], 1009);
    assert.equal(await seenEnd(socket), "error 1009");
  },

  async a_message_in_too_many_fragments_is_refused() {
    const socket = await opened();
    const pieces = (count) => {
      for (let at = 1; at < count; at += 1) socket.send("x", { fin: false });
      socket.send("x", { fin: true });
    };
    const answer = message(socket);
    pieces(100);
    assert.equal(await answer, "x".repeat(100));
    const close = closed(socket);
    pieces(101);
    assert.equal((await close)[0], 1008);
    assert.equal(await seenEnd(socket), "error 1008");
  },

  async text_that_is_not_utf_8_is_refused() {
    const socket = await opened();
    const close = closed(socket);
    socket.send(Buffer.from([0x61, 0xff]), { binary: false });
    assert.equal((await close)[0], 1007);
    assert.equal(await seenEnd(socket), "error 1007");
  },

  async frames_that_break_the_protocol_are_refused() {
    // A reserved opcode, a reserved bit, a continuation without a message, a fragmented ping. The frames are masked if Node is the client.
    const [mask, key] = mode === "client" ? [0x80, [0, 0, 0, 0]] : [0, []];
    for (const first of [0x83, deflate ? 0xc0 : 0xc1, 0x80, 0x09, 0xc9, 0xa1]) {
      const socket = await opened();
      const close = closed(socket);
      socket._socket.write(Buffer.from([first, mask, ...key]));
      assert.equal((await close)[0], 1002, first.toString(16));
      assert.equal(await seenEnd(socket), "error 1002");
    }
  },

  async compression_is_agreed_on_whatever_node_asks_for() {
    const all = mode === "client" ? [true, { clientMaxWindowBits: 9 }, { serverMaxWindowBits: 10 }, { serverMaxWindowBits: 15 }] : [{}];
    for (const clientNoContextTakeover of [undefined, true]) {
      for (const serverNoContextTakeover of [undefined, true]) {
        for (const options of all) {
          const merged = { threshold: 0, serverNoContextTakeover, clientNoContextTakeover, ...options };
          if (mode === "server") listening.options.perMessageDeflate = merged;
          const socket = await opened([], merged);
          for (const text of texts) await echoed(socket, text);
          // Twice, so that an end that keeps its context would refer to it.
          for (let round = 0; round < 2; round += 1) await echoed(socket, megabyteOfText);
          await echoed(socket, bytes);
          socket.terminate();
        }
      }
    }
    if (mode === "server") listening.options.perMessageDeflate = COMPRESSES_ALL;
  },

  async compression_makes_messages_smaller() {
    const socket = await opened();
    const before = socket._socket.bytesRead;
    for (let round = 0; round < 10; round += 1) await echoed(socket, "a".repeat(100_000));
    assert.ok(socket._socket.bytesRead - before < 50_000);
    // Our end sends as they are messages that would not get smaller. Node has no such rule.
    await echoed(socket, crypto.getRandomValues(Buffer.alloc(50_000)));
  },

  async compression_of_fragments_is_undone() {
    const socket = await opened();
    const answer = message(socket);
    socket.send("one, ".repeat(1000), { fin: false });
    socket.ping("between");
    socket.send("two, ".repeat(1000), { fin: false });
    socket.send("", { fin: false });
    socket.send("three", { fin: true });
    assert.equal(await answer, "one, ".repeat(1000) + "two, ".repeat(1000) + "three");
    // Without compression on the same connection.
    const plain = message(socket);
    socket.send("not compressed", { compress: false });
    assert.equal(await plain, "not compressed");
  },

  async compression_that_is_garbage_is_refused() {
    const [mask, key] = mode === "client" ? [0x80, [0, 0, 0, 0]] : [0, []];
    const zeros = deflateRawSync(Buffer.alloc(2_000_001), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    for (const [payload, code] of [[Buffer.from("garbage"), 1007], [zeros.subarray(0, 100), 1007], [zeros, 1009]]) {
      const socket = await opened();
      const close = closed(socket);
      const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255];
      socket._socket.write(Buffer.concat([Buffer.from([0xc2, mask | length[0], ...length.slice(1), ...key]), payload]));
      assert.equal((await close)[0], code);
      assert.equal(await seenEnd(socket), `error ${code}`);
    }
  },

  async a_wrong_masking_is_refused() {
    const socket = await opened();
    const close = closed(socket);
    const [mask, key] = mode === "client" ? [0, []] : [0x80, [0, 0, 0, 0]];
    socket._socket.write(Buffer.from([0x81, mask, ...key]));
    assert.equal((await close)[0], 1002);
  },
});
