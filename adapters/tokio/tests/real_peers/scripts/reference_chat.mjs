// The contract of the example "chat" (see the top of its page), implemented with the reference.
//
// Flags: --host --port --client FILE.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { Server } = createRequire(join(process.env.PEER_PACKAGES, "package.json"))("socket.io");

const { values: flags } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "3000" },
    client: { type: "string" },
  },
});

const page = readFileSync(new URL("../../../examples/chat/index.html", import.meta.url), "utf8");
const client = flags.client && readFileSync(flags.client);
const clientAddress = client ? "/client.js" : "https://cdn.socket.io/4.8.4/socket.io.min.js";

const server = createServer((request, response) => {
  if (request.url === "/") {
    response.setHeader("content-type", "text/html; charset=utf-8").end(page.replaceAll("{{client}}", clientAddress));
  } else if (request.url === "/client.js" && client) {
    response.setHeader("content-type", "text/javascript; charset=utf-8").end(client);
  } else {
    response.writeHead(404).end("not found");
  }
});

const io = new Server(server, { serveClient: false });
const people = new Map();
const history = [];

io.on("connection", (socket) => {
  const others = () => socket.broadcast.to("people");
  socket.on("join", (wanted, ack) => {
    const name = [...String(wanted).trim()].slice(0, 40).join("");
    if (name === "") return ack({ error: "A name is needed." });
    people.set(socket.id, name);
    socket.join("people");
    ack({ users: [...people.values()], history });
    others().emit("joined", { name, users: people.size });
  });
  socket.on("message", (text, ack) => {
    const name = people.get(socket.id);
    if (name === undefined) return;
    others().emit("message", { name, text });
    history.push({ name, text });
    if (history.length > 50) history.shift();
    ack();
  });
  socket.on("typing", (typing) => {
    const name = people.get(socket.id);
    if (name !== undefined) others().emit("typing", { name, typing });
  });
  socket.on("disconnect", () => {
    const name = people.get(socket.id);
    if (people.delete(socket.id)) io.to("people").emit("left", { name, users: people.size });
  });
});

server.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
server.listen(Number(flags.port), flags.host, () => {
  console.error(`listening on ${server.address().address}:${server.address().port}`);
});
