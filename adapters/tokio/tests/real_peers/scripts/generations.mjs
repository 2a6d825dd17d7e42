// Tests the echo server with the clients of older generations: socket.io-client 2.5 and 1.7, over Engine.IO 3. The mode is the generation
// and the way to connect, such as `2-upgrade`. Clients of the current generation meet them in one namespace.

import assert from "node:assert/strict";
import { ask, atEnd, load, mode, next, run, url } from "./checks.mjs";
import { bytes, megabyteOfBytes, megabyteOfText, texts, values } from "./samples.mjs";

const [generation, way] = mode.split("-");
const { Manager } = load(`socket.io-client-${generation}`);
const { io } = load("socket.io-client");

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const FINAL_TRANSPORT = { polling: "polling", websocket: "websocket", upgrade: "websocket" };

// Over polling without binary, which is what they do in Node.js, clients of 1.x encode text as UTF-8 twice. Servers of the 2.x line and
// later do not undo it, so only ASCII can be sent like this.
const ascii = generation === "1" && way !== "websocket";
const plain = (text) => !ascii || /^[\0-\x7f]*$/.test(text);
const allTexts = texts.filter(plain);

function manager(options = {}) {
  const created = new Manager(url, { transports: TRANSPORTS[way], autoConnect: false, reconnection: false, ...options });
  atEnd(() => {
    created.reconnection(false);
    created.close();
  });
  return created;
}

// A connected socket. In the upgrade mode, its connection has been upgraded.
async function connected(on = manager(), namespace = "/", query = undefined) {
  const socket = on.socket(namespace, { query });
  const connect = next(socket, "connect");
  socket.connect();
  await connect;
  if (on.engine.transport.name !== FINAL_TRANSPORT[way]) await next(on.engine, "upgrade");
  return socket;
}

async function echoed(socket, ...args) {
  const answer = next(socket, "message-back");
  socket.emit("message", ...args);
  assert.deepStrictEqual(await answer, args);
}

const acked = (socket, ...args) => new Promise((resolve) => socket.emit(...args, (...answer) => resolve(answer)));

// A connected client of the current generation.
async function current(namespace = "/") {
  const socket = io(`${url}${namespace}`, { forceNew: true, reconnection: false, transports: TRANSPORTS[way] });
  atEnd(() => socket.disconnect());
  await next(socket, "connect");
  return socket;
}

await run({
  async connects_with_the_wanted_transport_in_revision_3() {
    const socket = await connected();
    assert.equal(socket.io.engine.transport.name, FINAL_TRANSPORT[way]);
    const [id, revision] = await acked(socket, "who-am-i");
    assert.equal(revision, 3);
    assert.equal(id, socket.io.engine.id);
    assert.equal(socket.id, id);
    await echoed(socket, "hello");
  },

  async text_comes_back() {
    const socket = await connected();
    for (const text of allTexts) await echoed(socket, text);
    await echoed(socket, ...allTexts, ...values);
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
    for (const args of [[], [...allTexts, ...values], [bytes, { more: [Buffer.alloc(0)] }]]) {
      assert.deepStrictEqual(await acked(socket, "message-with-ack", ...args), args);
    }
    const many = Array.from({ length: 100 }, (_, index) => index);
    const answers = await Promise.all(many.map((index) => acked(socket, "message-with-ack", index)));
    assert.deepStrictEqual(answers.flat(), many);
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

  async the_query_of_a_namespace_arrives_as_auth() {
    const shared = manager();
    const root = shared.socket("/");
    const auths = [next(root, "auth")];
    root.connect();
    const custom = shared.socket("/custom", { query: "token=1%202&uid=a%26b" });
    auths.push(next(custom, "auth"));
    custom.connect();
    assert.deepStrictEqual(await Promise.all(auths), [[{}], [{ token: "1 2", uid: "a&b" }]]);
    const [id] = await acked(custom, "who-am-i");
    assert.equal(id, `/custom#${shared.engine.id}`);
    // In 1.x, all sockets of a connection have the id of the session.
    assert.equal(custom.id, generation === "1" ? shared.engine.id : id);
  },

  async two_namespaces_share_a_connection() {
    const shared = manager();
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    root.on("message-back", (text) => assert.equal(text, "to root"));
    custom.on("message-back", (text) => assert.equal(text, "to custom"));
    await Promise.all([echoed(root, "to root"), echoed(custom, "to custom")]);
    await Promise.all([echoed(root, "to root", bytes), echoed(custom, "to custom", bytes)]);
    assert.deepStrictEqual(await acked(custom, "message-with-ack", "acked"), ["acked"]);
  },

  async an_unknown_namespace_is_refused() {
    const shared = manager();
    const root = await connected(shared);
    const unknown = shared.socket("/unknown");
    const refusal = next(unknown, "error", []);
    unknown.connect();
    assert.deepStrictEqual(await refusal, [{ message: "Invalid namespace" }]);
    await echoed(root, "unharmed");
  },

  async a_refused_client_gets_the_data_and_one_with_the_right_query_connects() {
    const shared = manager();
    const root = await connected(shared);
    const guarded = shared.socket("/guarded", { query: "token=wrong" });
    const refusal = next(guarded, "error", []);
    guarded.connect();
    assert.deepStrictEqual(await refusal, [{ code: 401 }]);
    await echoed(root, "unharmed");
    await connected(manager(), "/guarded", "token=secret");
  },

  async the_client_leaves_a_namespace_and_comes_back() {
    const shared = manager();
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    const engine = shared.engine.id;
    const left = next(custom, "disconnect");
    custom.disconnect();
    assert.deepStrictEqual((await left)[0], "io client disconnect");
    await echoed(root, "still here");
    await connected(shared, "/custom");
    assert.equal(shared.engine.id, engine);
    await echoed(custom, "back again");
  },

  async the_server_disconnects_one_socket() {
    const shared = manager();
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    const disconnect = next(custom, "disconnect");
    custom.emit("disconnect-me");
    assert.equal((await disconnect)[0], "io server disconnect");
    await echoed(root, "still here");
  },

  async the_server_closes_the_connection() {
    const shared = manager();
    const root = await connected(shared);
    const custom = await connected(shared, "/custom");
    const disconnects = [next(root, "disconnect"), next(custom, "disconnect")];
    root.emit("close-me");
    for (const disconnect of disconnects) assert.equal((await disconnect)[0], "io server disconnect");
  },

  async the_pings_of_the_client_are_answered() {
    const socket = await connected();
    for (let round = 0; round < 3; round += 1) {
      await next(socket, "pong");
      await echoed(socket, round);
    }
  },

  async a_megabyte_comes_back() {
    const socket = await connected();
    await echoed(socket, megabyteOfText);
    await echoed(socket, megabyteOfBytes);
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

  async clients_of_both_generations_hear_the_same_broadcasts() {
    const clients = [await connected(), await current(), await connected(), await current()];
    const elsewhere = await current("/custom");
    elsewhere.on("broadcast-back", () => assert.fail("a broadcast left its namespace"));
    const text = ascii ? "to all" : "to all: grüße 😀";
    for (const sender of clients) {
      for (const args of [[text, { n: 1 }], [bytes, [Buffer.from([7])]]]) {
        const received = clients.map((client) => next(client, "broadcast-back"));
        sender.emit("broadcast", ...args);
        for (const event of received) assert.deepStrictEqual(await event, args);
      }
    }
    const [, revision] = await acked(clients[1], "who-am-i");
    assert.equal(revision, 4);
  },

  async the_client_reconnects_by_itself_after_a_server_restart() {
    const shared = manager({ reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
    const root = await connected(shared);
    const custom = await connected(shared, "/custom", "who=custom");
    // Before it, older clients emit `error`.
    const disconnects = [next(root, "disconnect", []), next(custom, "disconnect", [])];
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
    const auth = next(custom, "auth", []);
    await ask("start");
    await Promise.all(returns);
    assert.deepStrictEqual(await auth, [{ who: "custom" }]);
    assert.deepStrictEqual(await away, ["said while away"]);
    await echoed(root, "back", bytes);
    await echoed(custom, "back", bytes);
  },
});
