// The reference server of Socket.IO, with the same contract as all peers. ENGINE=ws (default) | buf (ws with bufferutil)
const engine = process.env.ENGINE || "ws";
if (engine === "ws") process.env.WS_NO_BUFFER_UTIL = "1";
const { Server } = require("socket.io");
const http = require("http");
const opts = {
  pingInterval: +(process.env.PING_INTERVAL_MS || 25000),
  pingTimeout: +(process.env.PING_TIMEOUT_MS || 20000),
  maxHttpBufferSize: 10e6,
  serveClient: false,
};
const server = http.createServer();
const io = new Server(server, opts);
io.on("connection", (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("broadcast", (...args) => io.emit("broadcast-back", ...args));
});
const port = +(process.env.PORT || 4021);
server.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => console.error("listening on", port));
