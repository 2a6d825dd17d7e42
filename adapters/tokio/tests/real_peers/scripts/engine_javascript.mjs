// Tests the bare echo with engine.io-client, the reference client of Engine.IO.

import assert from "node:assert/strict";
import { ask, atEnd, load, mode, next, run, url } from "./checks.mjs";
import { bytes, megabyteOfBytes, megabyteOfText, texts } from "./samples.mjs";

const { Socket } = load("engine.io-client");

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const FINAL_TRANSPORT = { polling: "polling", websocket: "websocket", upgrade: "websocket" };

function opening() {
  const socket = new Socket(url, { transports: TRANSPORTS[mode] });
  atEnd(() => socket.close());
  return socket;
}

// An open session. In the upgrade mode, it has been upgraded.
async function opened() {
  const socket = opening();
  await next(socket, "open");
  if (socket.transport.name !== FINAL_TRANSPORT[mode]) await next(socket, "upgrade");
  return socket;
}

async function echoed(socket, data) {
  const answer = next(socket, "message");
  socket.send(data);
  assert.deepStrictEqual((await answer)[0], data);
}

await run({
  async opens_with_the_wanted_transport() {
    const socket = await opened();
    assert.equal(socket.transport.name, FINAL_TRANSPORT[mode]);
    assert.equal(socket.readyState, "open");
    await echoed(socket, "hello");
  },

  async text_comes_back() {
    const socket = await opened();
    // A polling body cannot contain the record separator unescaped, and Engine.IO does not escape it.
    for (const text of texts.filter((text) => text !== "" && !text.includes("\u001e"))) await echoed(socket, text);
  },

  async multibyte_text_comes_back_whole() {
    const socket = await opened();
    await echoed(socket, "é".repeat(40_000));
    await echoed(socket, "€😀".repeat(30_000));
  },

  async binary_stays_binary() {
    const socket = await opened();
    await echoed(socket, bytes);
    await echoed(socket, Buffer.from([0]));
    await echoed(socket, Buffer.alloc(0));
    await echoed(socket, "text again");
  },

  async a_megabyte_comes_back() {
    const socket = await opened();
    await echoed(socket, megabyteOfText);
    await echoed(socket, megabyteOfBytes);
    await echoed(socket, "small");
  },

  async a_thousand_messages_keep_their_order() {
    // Does not wait for the upgrade, so that it happens in the middle of all this.
    const socket = opening();
    await next(socket, "open");
    const seen = [];
    const finished = new Promise((resolve) => {
      socket.on("message", (data) => {
        seen.push(data);
        if (seen.length === 1000) resolve();
      });
    });
    const sent = Array.from({ length: 1000 }, (_, index) => (index % 10 === 0 ? Buffer.from(`${index}`) : `${index}`));
    for (const [index, data] of sent.entries()) {
      socket.send(data);
      if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await finished;
    assert.deepStrictEqual(seen, sent);
  },

  async the_client_closes_the_session() {
    const socket = await opened();
    const close = next(socket, "close");
    socket.close();
    assert.equal((await close)[0], "forced close");
    await echoed(await opened(), "the server goes on");
  },

  async the_client_closes_while_messages_are_on_their_way() {
    const socket = await opened();
    const close = next(socket, "close");
    for (let index = 0; index < 100; index += 1) socket.send(megabyteOfText.slice(0, 10_000));
    socket.close();
    await close;
    await echoed(await opened(), "the server goes on");
  },

  async the_server_closes_the_session() {
    const socket = await opened();
    const close = next(socket, "close");
    socket.send("close-me");
    assert.equal((await close)[0], "transport close");
    await echoed(await opened(), "the server goes on");
  },

  async the_server_delivers_before_it_closes() {
    const socket = await opened();
    const seen = [];
    socket.on("message", (data) => seen.push(data));
    const close = next(socket, "close");
    for (const data of ["first", bytes, "last", "close-me"]) socket.send(data);
    assert.equal((await close)[0], "transport close");
    assert.deepStrictEqual(seen, ["first", bytes, "last"]);
  },

  async the_session_outlives_several_heartbeats() {
    const socket = await opened();
    for (let count = 0; count < 5; count += 1) await next(socket, "ping");
    await echoed(socket, "alive");
  },

  async heartbeats_go_on_beside_messages() {
    const socket = await opened();
    let pings = 0;
    socket.on("ping", () => (pings += 1));
    while (pings < 5) await echoed(socket, "busy");
  },

  async the_client_notices_a_silent_server() {
    const socket = await opened();
    await next(socket, "ping");
    const close = next(socket, "close");
    await ask("pause");
    const [reason] = await close;
    await ask("resume");
    assert.equal(reason, "ping timeout");
  },
});
