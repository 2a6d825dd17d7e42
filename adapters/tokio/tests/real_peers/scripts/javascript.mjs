// Tests the echo server with socket.io-client, the reference client.

import assert from "node:assert/strict";
import { ask, atEnd, load, mode, next, run, url } from "./checks.mjs";
import { bytes, megabyteOfBytes, megabyteOfText, texts, values } from "./samples.mjs";

const { Manager } = load("socket.io-client");

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const FINAL_TRANSPORT = { polling: "polling", websocket: "websocket", upgrade: "websocket" };

function manager(options = {}) {
  const created = new Manager(url, { transports: TRANSPORTS[mode], autoConnect: false, reconnection: false, ...options });
  atEnd(() => {
    created.reconnection(false);
    created._close();
  });
  return created;
}

// A connected socket. In the upgrade mode, its connection has been upgraded.
async function connected(on = manager(), namespace = "/", auth = undefined) {
  const socket = on.socket(namespace, { auth });
  const connect = next(socket, "connect");
  socket.connect();
  await connect;
  if (on.engine.transport.name !== FINAL_TRANSPORT[mode]) await next(on.engine, "upgrade");
  return socket;
}

async function echoed(socket, ...args) {
  const answer = next(socket, "message-back");
  socket.emit("message", ...args);
  assert.deepStrictEqual(await answer, args);
}

await run({
  async connects_with_the_wanted_transport() {
    const socket = await connected();
    assert.equal(socket.io.engine.transport.name, FINAL_TRANSPORT[mode]);
    assert.equal(typeof socket.id, "string");
    assert.notEqual(socket.id, socket.io.engine.id);
    await echoed(socket, "hello");
  },

  async the_first_subprotocol_that_is_offered_is_selected() {
    const socket = await connected(manager({ protocols: ["x", "y"] }));
    if (mode !== "polling") assert.equal(socket.io.engine.transport.ws.protocol, "x");
    await echoed(socket, "hello");
  },

  async a_websocket_that_is_closed_with_a_code_and_a_reason_gets_them_back() {
    const socket = await connected();
    if (mode === "polling") return;
    const { ws } = socket.io.engine.transport;
    const closed = next(ws, "close");
    ws.close(4000, "bye");
    const [code, reason] = await closed;
    assert.deepStrictEqual([code, reason.toString()], [4000, "bye"]);
  },

  async text_comes_back() {
    const socket = await connected();
    for (const text of texts) await echoed(socket, text);
    await echoed(socket, ...texts, ...values);
    await echoed(socket);
  },

  async several_attachments_come_back() {
    const socket = await connected();
    await echoed(socket, bytes);
    await echoed(socket, Buffer.alloc(0));
    await echoed(socket, { first: bytes, nested: [{ second: Buffer.from([1]) }, Buffer.alloc(0)] }, "text", Buffer.from([2, 3]), null);
    await echoed(socket, ...Array.from({ length: 10 }, (_, index) => Buffer.from([index])));
  },

  async the_server_acknowledges_events() {
    const socket = await connected();
    for (const args of [[], [...texts, ...values], [bytes, { more: [Buffer.alloc(0)] }]]) {
      const answer = await new Promise((resolve) => socket.emit("message-with-ack", ...args, (...acked) => resolve(acked)));
      assert.deepStrictEqual(answer, args);
    }
    assert.equal(await socket.timeout(50_000).emitWithAck("message-with-ack", "first", "second"), "first");
    const many = Array.from({ length: 100 }, (_, index) => index);
    assert.deepStrictEqual(await Promise.all(many.map((index) => socket.emitWithAck("message-with-ack", index))), many);
  },

  async the_client_acknowledges_events() {
    const socket = await connected();
    socket.on("question", (...args) => {
      const acknowledge = args.pop();
      acknowledge(...args, "and more");
    });
    for (const args of [[], ["text", { a: 1 }], [bytes, [Buffer.from([1, 2])]]]) {
      const answer = next(socket, "answer");
      socket.emit("ask", ...args);
      assert.deepStrictEqual(await answer, [...args, "and more"]);
    }
  },

  async an_event_that_is_never_acknowledged_times_out_at_the_server() {
    const socket = await connected();
    const question = next(socket, "question");
    const failure = next(socket, "answer-failed");
    socket.emit("ask", "anybody?");
    assert.equal((await question)[0], "anybody?");
    const [reason] = await failure;
    assert.equal(typeof reason, "string");
    await echoed(socket, "still here");
  },

  async the_handshake_auth_arrives() {
    for (const [auth, seen] of [[undefined, {}], [{ token: "abc", nested: { list: [1, "ü"] } }, undefined]]) {
      const socket = manager().socket("/", { auth });
      const event = next(socket, "auth");
      socket.connect();
      assert.deepStrictEqual(await event, [seen ?? auth]);
    }
  },

  async two_namespaces_share_a_connection() {
    const shared = manager();
    const root = await connected(shared, "/", { who: "root" });
    const custom = shared.socket("/custom", { auth: { who: "custom" } });
    const auth = next(custom, "auth");
    custom.connect();
    assert.deepStrictEqual(await auth, [{ who: "custom" }]);
    assert.notEqual(root.id, custom.id);
    root.on("message-back", (text) => assert.equal(text, "to root"));
    custom.on("message-back", (text) => assert.equal(text, "to custom"));
    await Promise.all([echoed(root, "to root"), echoed(custom, "to custom")]);
    await Promise.all([echoed(root, "to root", bytes), echoed(custom, "to custom", bytes)]);
    assert.equal(await custom.emitWithAck("message-with-ack", "acked"), "acked");
  },

  async a_custom_namespace_needs_no_root_namespace() {
    await echoed(await connected(manager(), "/custom"), "alone");
  },

  async an_unknown_namespace_is_refused() {
    const shared = manager();
    const root = await connected(shared);
    const unknown = shared.socket("/unknown");
    const refusal = next(unknown, "connect_error", []);
    unknown.connect();
    const [error] = await refusal;
    assert.equal(error.message, "Invalid namespace");
    assert.equal(unknown.active, false);
    await echoed(root, "unharmed");
  },

  async a_refused_auth_carries_message_and_data_and_a_right_one_connects() {
    const shared = manager();
    const root = await connected(shared);
    const guarded = shared.socket("/guarded", { auth: { token: "wrong" } });
    const refusal = next(guarded, "connect_error", []);
    guarded.connect();
    const [error] = await refusal;
    assert.equal(error.message, "not authorised");
    assert.deepStrictEqual(error.data, { code: 401 });
    guarded.auth = { token: "secret" };
    const connect = next(guarded, "connect");
    guarded.connect();
    await connect;
    await echoed(root, "unharmed");
  },

  async the_client_leaves_a_namespace_and_comes_back() {
    const shared = manager();
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    const [id, engine] = [custom.id, shared.engine.id];
    const left = next(custom, "disconnect");
    custom.disconnect();
    assert.deepStrictEqual((await left)[0], "io client disconnect");
    await echoed(root, "still here");
    await connected(shared, "/custom");
    assert.equal(shared.engine.id, engine);
    assert.notEqual(custom.id, id);
    await echoed(custom, "back again");
  },

  async the_client_disconnects_and_connects_again() {
    const socket = await connected();
    const { id } = socket;
    const closed = next(socket.io.engine, "close");
    socket.disconnect();
    assert.equal((await closed)[0], "forced close");
    await connected(socket.io);
    assert.notEqual(socket.id, id);
    await echoed(socket, "back again");
  },

  async the_server_disconnects_one_socket() {
    const shared = manager({ reconnection: true });
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    const disconnect = next(custom, "disconnect");
    custom.emit("disconnect-me");
    assert.equal((await disconnect)[0], "io server disconnect");
    assert.equal(custom.active, false);
    await echoed(root, "still here");
  },

  async the_server_closes_the_connection() {
    const shared = manager({ reconnection: true });
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    const disconnects = [next(root, "disconnect"), next(custom, "disconnect")];
    const closed = next(shared, "close", []);
    root.emit("close-me");
    for (const disconnect of disconnects) assert.equal((await disconnect)[0], "io server disconnect");
    await closed;
    assert.equal(root.active || custom.active, false);
  },

  async the_server_drops_the_connection_and_the_client_comes_back() {
    const shared = manager({ reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 10 });
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    const disconnects = [next(root, "disconnect"), next(custom, "disconnect")];
    const connects = [next(root, "connect", []), next(custom, "connect", [])];
    root.emit("drop-me");
    for (const disconnect of disconnects) assert.equal((await disconnect)[0], "transport close");
    assert.equal(root.active && custom.active, true);
    for (const connect of connects) await connect;
    await echoed(root, "back");
    await echoed(custom, "back");
  },

  async namespaces_are_created_on_demand_and_others_are_refused() {
    const shared = manager();
    const [one, two] = [await connected(shared, "/dynamic-1"), await connected(shared, "/dynamic-2")];
    await echoed(one, 1);
    await echoed(two, 2);
    const refused = shared.socket("/dynamic");
    const error = next(refused, "connect_error");
    refused.connect();
    assert.equal((await error)[0].message, "Invalid namespace");
    one.disconnect();
    // The reference closes a connection that leaves a namespace and joins it again in one body.
    await echoed(two, 3);
    await echoed(await connected(shared, "/dynamic-1"), 4);
  },

  async the_server_knows_the_transport() {
    const socket = await connected();
    const answer = next(socket, "transport-back");
    socket.emit("transport");
    assert.deepStrictEqual(await answer, [FINAL_TRANSPORT[mode]]);
  },

  async a_megabyte_comes_back() {
    const socket = await connected();
    await echoed(socket, megabyteOfText);
    await echoed(socket, megabyteOfBytes);
    await echoed(socket, "small");
  },

  async sixty_megabytes_come_back() {
    const socket = await connected();
    const large = Buffer.alloc(60_000_000, 7);
    await echoed(socket, large);
    await echoed(socket, large.subarray(0, 20_000_000), { more: large.subarray(0, 30_000_000) });
    await echoed(socket, "x".repeat(60_000_000));
    await echoed(socket, "small");
  },

  async a_thousand_events_keep_their_order() {
    // Does not wait for the upgrade, so that it happens in the middle of all this.
    const socket = manager().socket("/");
    const seen = [];
    const finished = new Promise((resolve) => {
      socket.on("message-back", (index, attachment) => {
        seen.push([index, attachment?.length]);
        if (seen.length === 1000) resolve();
      });
    });
    const connect = next(socket, "connect");
    socket.connect();
    await connect;
    const sent = [];
    for (let index = 0; index < 1000; index += 1) {
      const attachment = index % 10 === 0 ? [Buffer.alloc(index)] : [];
      sent.push([index, attachment[0]?.length]);
      socket.emit("message", index, ...attachment);
      if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await finished;
    assert.deepStrictEqual(seen, sent);
  },

  async a_broadcast_reaches_every_client_of_the_namespace() {
    const clients = [];
    for (let count = 0; count < 4; count += 1) clients.push(await connected());
    const elsewhere = await connected(manager(), "/custom");
    elsewhere.on("broadcast-back", () => assert.fail("a broadcast reached another namespace"));
    for (const args of [["to all", { n: 1 }], [bytes, [Buffer.from([7])]]]) {
      const received = clients.map((client) => next(client, "broadcast-back"));
      clients[1].emit("broadcast", ...args);
      for (const event of received) assert.deepStrictEqual(await event, args);
    }
    clients.pop().disconnect();
    const received = clients.map((client) => next(client, "broadcast-back"));
    clients[0].emit("broadcast", "to those who are left");
    await Promise.all(received);
    await echoed(elsewhere, "heard nothing");
  },

  async the_client_reconnects_by_itself_after_a_server_restart() {
    const shared = manager({ reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
    const root = await connected(shared, "/", { who: "root" });
    const custom = await connected(shared, "/custom");
    const ids = [root.id, custom.id];
    const disconnects = [next(root, "disconnect"), next(custom, "disconnect")];
    const failure = next(shared, "reconnect_error", []);
    await ask("stop");
    for (const disconnect of disconnects) {
      const [reason] = await disconnect;
      assert.ok(["transport close", "transport error"].includes(reason), reason);
    }
    await failure;
    const away = next(root, "message-back", []);
    root.emit("message", "said while away");
    const returns = [next(root, "connect", []), next(custom, "connect", [])];
    const auth = next(root, "auth", []);
    await ask("start");
    await Promise.all(returns);
    assert.deepStrictEqual(await auth, [{ who: "root" }]);
    assert.deepStrictEqual(await away, ["said while away"]);
    assert.ok(!ids.includes(root.id) && !ids.includes(custom.id));
    await echoed(root, "back", bytes);
    await echoed(custom, "back", bytes);
  },
});
