// Tests handlers of the server with socket.io-client: what reaches the client of arguments, failures, filters and observers. The mode is
// the transport.

import assert from "node:assert/strict";
import { atEnd, load, mode, next, run, url } from "./checks.mjs";

const { Manager } = load("socket.io-client");
const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

async function connected() {
  const manager = new Manager(url, { transports: TRANSPORTS[mode], autoConnect: false, reconnection: false });
  atEnd(() => manager._close());
  const socket = manager.socket("/");
  const connect = next(socket, "connect");
  socket.connect();
  await connect;
  if (mode === "upgrade" && manager.engine.transport.name !== "websocket") await next(manager.engine, "upgrade");
  return socket;
}

await run({
  async a_handler_gets_its_arguments_and_its_failures_reach_the_ack() {
    const socket = await connected();
    const greeting = next(socket, "greeting");
    assert.equal(await socket.emitWithAck("greet", "ann", 2), 2);
    assert.deepEqual(await greeting, ["hello annhello ann"]);
    assert.deepEqual(await socket.emitWithAck("greet", "", 1), { error: "a name is needed" });
    assert.deepEqual(await socket.emitWithAck("greet", 1, "ann"), { error: "invalid arguments" });
    assert.deepEqual(await socket.emitWithAck("panic"), { error: "internal error" });
    assert.equal(await socket.emitWithAck("greet", "bob", 1), 1, "it is still connected");
  },

  async a_socket_has_handlers_of_its_own() {
    const [first, second] = [await connected(), await connected()];
    assert.deepEqual([await first.emitWithAck("count"), await first.emitWithAck("count"), await second.emitWithAck("count")], [0, 1, 0]);
    const ran = [];
    first.on("ran", (which) => ran.push(which));
    first.emit("once");
    first.emit("once");
    await first.emitWithAck("forget");
    assert.deepEqual(ran, ["of the socket", "of the namespace", "of the namespace"]);
    // The handler of the namespace is left, which does not answer.
    let answered = false;
    first.emit("count", () => (answered = true));
    await first.emitWithAck("forget");
    assert.ok(!answered);
    assert.equal(await second.emitWithAck("count"), 1);
  },

  async a_filter_changes_answers_and_drops_events_and_keeps_their_order() {
    const socket = await connected();
    assert.deepEqual(await socket.emitWithAck("old name", { a: [1] }, Buffer.from("b")), { a: [1] });
    assert.equal(await socket.emitWithAck("answered"), "by the filter");
    let came = false;
    socket.emit("dropped", () => (came = true));
    assert.deepEqual(await new Promise((resolve) => socket.emit("nothing like it", (...args) => resolve(args))), ["unhandled", "nothing like it"]);
    assert.ok(!came);
    const handled = [];
    socket.on("handled", (number) => handled.push(number));
    for (let number = 0; number < 8; number++) socket.emit(number % 4 ? "fast" : "slow", number);
    await socket.emitWithAck("answered");
    assert.deepEqual(handled, [0, 1, 2, 3, 4, 5, 6, 7]);
  },

  async the_server_observes_what_it_sends() {
    const socket = await connected();
    const all = next(socket, "to all");
    socket.emit("all", "é");
    assert.deepEqual(await all, ["é"]);
    socket.emit("fast", 1);
    assert.deepEqual(await socket.emitWithAck("sent"), ["to all 1", "handled 1"]);
  },
});
