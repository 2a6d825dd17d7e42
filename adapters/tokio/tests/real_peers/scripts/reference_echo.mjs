// The contract of the example "echo", implemented with the reference. The tests require the same of it as of our server.
//
// Flags: --host --port --ping-interval --ping-timeout --max-payload --connect-timeout (milliseconds, bytes), --allow-eio3, --recovery.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";

const load = createRequire(join(process.env.PEER_PACKAGES, "package.json"));
const { Server } = load("socket.io");
const { Server: EngineServer } = createRequire(load.resolve("socket.io"))("engine.io");

const { values: flags } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    "ping-interval": { type: "string", default: "25000" },
    "ping-timeout": { type: "string", default: "20000" },
    "max-payload": { type: "string", default: "1000000" },
    "connect-timeout": { type: "string", default: "45000" },
    "allow-eio3": { type: "boolean", default: false },
    recovery: { type: "boolean", default: false },
  },
});

const options = {
  pingInterval: Number(flags["ping-interval"]),
  pingTimeout: Number(flags["ping-timeout"]),
  maxHttpBufferSize: Number(flags["max-payload"]),
  allowEIO3: flags["allow-eio3"],
};
const server = createServer();

const io = new Server(server, {
  ...options,
  connectTimeout: Number(flags["connect-timeout"]),
  connectionStateRecovery: flags.recovery ? {} : undefined,
  serveClient: false,
});

function echo(socket) {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("broadcast", (...args) => socket.nsp.emit("broadcast-back", ...args));
  socket.on("who-am-i", (ack) => ack(socket.id, socket.conn.protocol));
  socket.on("disconnect-me", () => socket.disconnect());
  socket.on("close-me", () => socket.disconnect(true));
  socket.on("drop-me", () => socket.conn.close());
  socket.on("transport", () => socket.emit("transport-back", socket.conn.transport.name));
  socket.on("watch", (sid) => {
    const watched = (reason) => socket.emit("watched", sid, reason);
    const other = socket.nsp.sockets.get(sid);
    if (other) other.once("disconnect", watched);
    else watched("gone");
  });
  socket.on("ask", (...args) =>
    socket.timeout(5000).emit("question", ...args, (error, ...answer) => {
      if (error) socket.emit("answer-failed", error.message);
      else socket.emit("answer", ...answer);
    }),
  );
}

for (const namespace of ["/", "/custom", "/guarded", /^\/dynamic-/]) io.of(namespace).on("connection", echo);
io.of("/guarded").use((socket, next) => {
  if (socket.handshake.auth.token === "secret") return next();
  next(Object.assign(new Error("not authorised"), { data: { code: 401 } }));
});

const engine = new EngineServer(options);
engine.on("connection", (socket) => {
  socket.on("message", (data) => (data === "close-me" ? socket.close() : socket.send(data)));
});
engine.attach(server, { path: "/engine.io", destroyUpgrade: false });

server.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
server.listen(Number(flags.port), flags.host, () => {
  console.error(`listening on ${server.address().address}:${server.address().port}`);
});
