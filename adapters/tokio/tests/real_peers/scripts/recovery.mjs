// Tests connection state recovery of the echo server (`--recovery`) with socket.io-client, the reference client: connections break while
// several clients broadcast.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { atEnd, load, mode, next, run, url } from "./checks.mjs";

const { Manager } = load("socket.io-client");

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const tick = () => new Promise((resolve) => setImmediate(resolve));

// A socket on a connection of its own, whose TCP connections `agent` knows.
function client(transports = TRANSPORTS[mode]) {
  const agent = new Agent({ keepAlive: true });
  const manager = new Manager(url, { transports, autoConnect: false, reconnection: false, agent });
  const socket = manager.socket("/");
  atEnd(() => {
    manager._close();
    agent.destroy();
  });
  return { socket, agent };
}

async function connected(transports) {
  const made = client(transports);
  const connect = next(made.socket, "connect");
  made.socket.connect();
  await connect;
  return made;
}

// Breaks the connection: resets its TCP connections, or closes the session below without leaving the namespace. Waits until both sides know
// it; `witness` hears it from the server.
async function cut({ socket, agent }, witness) {
  const { id } = socket;
  const gone = new Promise((resolve) => {
    const listener = (who) => {
      if (who !== id) return;
      witness.off("watched", listener);
      resolve();
    };
    witness.on("watched", listener);
    witness.emit("watch", id);
  });
  let over = false;
  socket.once("disconnect", () => (over = true));
  const close = Math.random() < 0.3;
  // Between two polls there may be no connection to break.
  while (!over) {
    if (close) socket.io.engine.close();
    else if (socket.io.engine.transport.ws) socket.io.engine.transport.ws.terminate();
    else for (const connection of Object.values(agent.sockets).flat()) connection.destroy();
    await tick();
  }
  await gone;
  // socket.io-client handles a packet one microtask after it has arrived. Those that arrive together with the end of the connection (here:
  // at the end of an upgrade) are handled after it, and end in this buffer without their offsets being noted. The client would deliver them
  // again after it has received them as missed, whatever the server is.
  socket.receiveBuffer.length = 0;
}

async function returned({ socket }) {
  const connect = next(socket, "connect", ["connect_error"]);
  socket.connect();
  await connect;
}

// Emits numbered broadcasts until it is told to stop; some have an attachment. Returns a function that stops it.
function broadcasts(socket, name) {
  let number = 0;
  let stopped = false;
  const emitting = (async () => {
    while (!stopped) {
      const burst = 1 + Math.floor(Math.random() * 4);
      for (let count = 0; count < burst; count += 1) {
        const attachment = number % 7 === 0 ? [Buffer.from([number % 256, name])] : [];
        socket.emit("broadcast", name, number, ...attachment);
        number += 1;
      }
      await sleep(Math.random() * 4);
    }
    // All of them are on their way when this is acknowledged.
    await socket.emitWithAck("message-with-ack", "done");
  })();
  return () => {
    stopped = true;
    return emitting;
  };
}

// Records the broadcasts that a socket receives, without the offset.
function record(socket) {
  const seen = [];
  socket.on("broadcast-back", (...args) => {
    const offset = args.pop();
    assert.equal(typeof offset, "string");
    seen.push(args.map((arg) => (Buffer.isBuffer(arg) ? arg.toString("hex") : arg)).join(" "));
  });
  return seen;
}

await run({
  async a_client_that_is_cut_again_and_again_gets_every_broadcast_once_and_in_order() {
    const witness = await connected(["websocket"]);
    const order = record(witness.socket);
    const senders = await Promise.all([1, 2, 3].map(() => connected(["websocket"])));
    const victims = await Promise.all([1, 2].map(() => connected()));
    const seen = victims.map(({ socket }) => record(socket));
    const stops = senders.map(({ socket }, name) => broadcasts(socket, name));
    await Promise.all(
      victims.map(async (victim) => {
        for (let times = 0; times < 12; times += 1) {
          // In the upgrade mode, this is before, during or after the upgrade.
          await sleep(Math.random() * 40);
          const { id } = victim.socket;
          // A client that has received nothing yet cannot be recovered.
          while (victim.socket._lastOffset === undefined) await sleep(1);
          await cut(victim, witness.socket);
          await sleep(Math.random() * 40);
          await returned(victim);
          assert.equal(victim.socket.recovered, true);
          assert.equal(victim.socket.id, id);
        }
      }),
    );
    await Promise.all(stops.map((stop) => stop()));
    senders[0].socket.emit("broadcast", "last");
    const all = [witness.socket, ...victims.map(({ socket }) => socket)];
    const lists = [order, ...seen];
    while (lists.some((list) => list.at(-1) !== "last")) await sleep(5);
    assert.equal(all.length, lists.length);
    assert.ok(order.length > 100, `${order.length} broadcasts`);
    for (const list of seen) {
      // The witness connected first, so it has seen what the others have.
      assert.ok(list.length > 100);
      assert.deepStrictEqual(list, order.slice(order.indexOf(list[0])));
    }
    // The witness itself has the numbers of each sender in order and without gaps.
    for (const name of [0, 1, 2]) {
      const numbers = order.filter((line) => line.startsWith(`${name} `)).map((line) => Number(line.split(" ")[1]));
      assert.deepStrictEqual(numbers, numbers.map((_, index) => index));
    }
  },

  async two_clients_that_claim_the_same_socket_at_once_are_one_that_is_recovered_and_a_new_one() {
    const witness = await connected(["websocket"]);
    for (let times = 0; times < 5; times += 1) {
      const first = await connected();
      const { id } = first.socket;
      while (first.socket._lastOffset === undefined) await sleep(1);
      await cut(first, witness.socket);
      const second = client();
      [second.socket._pid, second.socket._lastOffset] = [first.socket._pid, first.socket._lastOffset];
      await Promise.all([returned(first), returned(second)]);
      const recovered = [first, second].filter(({ socket }) => socket.recovered);
      assert.equal(recovered.length, 1);
      assert.equal(recovered[0].socket.id, id);
      assert.notEqual(first.socket.id, second.socket.id);
    }
  },

  async a_client_that_leaves_the_namespace_is_a_new_one_when_it_returns() {
    const made = await connected();
    const { id } = made.socket;
    while (made.socket._lastOffset === undefined) await sleep(1);
    made.socket.disconnect();
    await returned(made);
    assert.equal(made.socket.recovered, false);
    assert.notEqual(made.socket.id, id);
  },

  async what_was_sent_while_the_client_was_away_is_there_when_it_has_connected() {
    const witness = await connected(["websocket"]);
    const made = await connected();
    while (made.socket._lastOffset === undefined) await sleep(1);
    const seen = record(made.socket);
    await cut(made, witness.socket);
    for (const number of [1, 2, 3]) witness.socket.emit("broadcast", number, Buffer.from([number]));
    await witness.socket.emitWithAck("message-with-ack", "done");
    await returned(made);
    assert.equal(made.socket.recovered, true);
    assert.deepStrictEqual(seen, ["1 01", "2 02", "3 03"]);
  },
});
