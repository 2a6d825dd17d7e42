// The reference (socket.io on Node) with the events of our example `echo`, for the attacks. Settings are environment variables.
const http = require("http");
const { Server } = require("socket.io");

const number = (name, otherwise) => Number(process.env[name] || otherwise);
const server = http.createServer();
const io = new Server(server, {
  pingInterval: number("PING_INTERVAL_MS", 25000),
  pingTimeout: number("PING_TIMEOUT_MS", 20000),
  upgradeTimeout: number("UPGRADE_TIMEOUT_MS", 10000),
  // The default of our server and of the reference.
  maxHttpBufferSize: number("MAX_PAYLOAD", 1e6),
  allowEIO3: Boolean(process.env.ALLOW_EIO3),
  connectionStateRecovery: process.env.RECOVERY ? {} : undefined,
  cors: process.env.CORS ? { origin: true, credentials: true } : undefined,
  serveClient: false,
  perMessageDeflate: process.env.DEFLATE ? { threshold: 1024, serverNoContextTakeover: true, clientNoContextTakeover: true } : false,
});
function serve(socket) {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("broadcast", (...args) => socket.nsp.emit("broadcast-back", ...args));
  socket.on("join", (room) => {
    socket.join(room);
    socket.emit("joined", room);
  });
  socket.on("ask", (...args) => socket.timeout(5000).emit("question", ...args, (error, ...answer) => {
    if (error) socket.emit("answer-failed", String(error));
    else socket.emit("answer", ...answer);
  }));
  // Like a `recv` loop: processes one event after the other, each for a while.
  let turn = Promise.resolve();
  socket.on("slow", (ms, _payload) => {
    turn = turn.then(() => new Promise((done) => setTimeout(done, ms))).then(() => socket.emit("slow-done"));
  });
}
for (const namespace of ["/", "/custom", /^\/dynamic-/]) io.of(namespace).on("connection", serve);
server.listen({ port: number("PORT", 0), host: "127.0.0.1", backlog: 4096 }, () => {
  console.error(`listening on 127.0.0.1:${server.address().port}`);
});
