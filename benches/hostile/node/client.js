// The official client with a large backlog: emits all events at once, and reports when all their answers have arrived, or why they did not.
//   node client.js PORT TRANSPORT EVENT ANSWER COUNT BYTES SECONDS [NUMBER]
// Prints one line of JSON: {"answers": n, "disconnected": reason or null, "after_ms": n}. NUMBER is the first argument of the events.
const { io } = require("socket.io-client");
const [port, transport, event, answer, count, bytes, seconds, number] = process.argv.slice(2);
const socket = io(`http://127.0.0.1:${port}`, { transports: [transport], reconnection: false });
let answers = 0, began = 0;
const end = (disconnected) => {
  console.log(JSON.stringify({ answers, disconnected, after_ms: Date.now() - began }));
  process.exit(0);
};
socket.on("connect", () => {
  began = Date.now();
  const payload = "x".repeat(Number(bytes));
  for (let i = 0; i < Number(count); i++) socket.emit(event, ...(number ? [Number(number)] : []), payload);
});
socket.on(answer, () => { if (++answers === Number(count)) end(null); });
socket.on("connect_error", (error) => end(`cannot connect: ${error.message}`));
socket.on("disconnect", end);
setTimeout(() => end("not done in time"), Number(seconds) * 1000);
