// A socket.io server for the tests of the embedded client. It prints its port first, and ends with its input.
const requirePeer = require("module").createRequire(process.env.PEER_PACKAGES + "/package.json");
const { Server } = requirePeer("socket.io");
const options = { pingInterval: 300, pingTimeout: 200, transports: ["websocket"] };
if (process.env.MSGPACK) options.parser = requirePeer("socket.io-msgpack-parser");
const http = require("http").createServer();
const io = new Server(http, options);
for (const namespace of ["/", "/sensors"]) {
  io.of(namespace).on("connection", (socket) => {
    console.log(`connected ${namespace}`);
    socket.on("echo", (...args) => socket.emit("echo", ...args));
    socket.on("ask", (value, ack) => ack(value));
    socket.on("question", () => socket.emit("question", 7, (...args) => socket.emit("answer", ...args)));
    socket.on("large", (bytes) => socket.emit("large", "x".repeat(bytes)));
    socket.on("cut", () => socket.conn.transport.socket._socket.destroy());
  });
}
http.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(`port ${http.address().port}`));
process.stdin.resume().on("end", () => process.exit(0));
