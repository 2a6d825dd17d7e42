// Connects with the official client in each of its ways, several times, and prints which servers it met. `try.mjs URL PACKAGES`

import { createRequire } from "node:module";
import { resolve } from "node:path";

const [url, packages] = process.argv.slice(2);
const { io } = createRequire(resolve(packages, "package.json"))("socket.io-client");

const next = (emitter, event) =>
  new Promise((done, reject) => {
    emitter.once(event, (...args) => done(args));
    for (const ending of ["connect_error", "disconnect"]) {
      emitter.once?.(ending, (reason) => reject(new Error(`${ending}: ${reason?.message ?? reason}`)));
    }
  });

const met = new Set();
for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  for (let round = 0; round < 6; round += 1) {
    const socket = io(url, { transports, forceNew: true, reconnection: false });
    const [name, address] = await next(socket, "welcome");
    if (address !== "127.0.0.1") throw new Error(`the server sees the address ${address}`);
    met.add(name);
    const { engine } = socket.io;
    if (engine.transport.name !== transports.at(-1)) await new Promise((done) => engine.once("upgrade", done));
    for (const text of ["hello", "grüße", "x".repeat(100_000)]) {
      socket.emit("message", text);
      const [echo] = await next(socket, "message");
      if (echo !== text) throw new Error("the echo differs");
    }
    if (engine.transport.name !== transports.at(-1)) throw new Error(`ended on ${engine.transport.name}`);
    socket.off();
    socket.disconnect();
  }
}
console.log([...met].sort().join(" "));
