// The client of the reference, with the package `ws`. Arguments: URL, number of clients, window of each, number of messages of all.
const fs = require("fs");
const { io } = require("socket.io-client");

const [url, ...numbers] = process.argv.slice(2);
const [clients, window, messages] = numbers.map(Number);
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

async function main() {
  const before = resident();
  const sockets = [];
  let left = messages;
  let done;
  const finished = new Promise((resolve) => (done = resolve));
  for (let i = 0; i < clients; i++) {
    const socket = io(url, { transports: ["websocket"], forceNew: true });
    socket.on("message-back", (text) => {
      left--;
      if (left >= clients * window) socket.emit("message", text);
      if (left === 0) done();
    });
    await new Promise((resolve) => socket.on("connect", resolve));
    sockets.push(socket);
  }
  const bytes = Math.floor((resident() - before) / clients);
  let micros = 0;
  if (messages > 0) {
    const begin = cpu();
    const text = "x".repeat(64);
    for (let i = 0; i < window; i++) sockets.forEach((socket) => socket.emit("message", text));
    await finished;
    micros = (cpu() - begin) / messages;
  }
  console.log(JSON.stringify({ rss_per_client: bytes, cpu_us_per_msg: micros, msgs: messages }));
  process.exit(0);
}

main();
