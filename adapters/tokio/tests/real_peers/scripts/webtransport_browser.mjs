// WebTransport between our server and socket.io-client in Chromium, at once and by upgrade. The server has a certificate that is made for
// the occasion, which the page accepts by its hash.

import assert from "node:assert/strict";
import { join } from "node:path";
import { atEnd, load, mode, run, url } from "./checks.mjs";

const { chromium } = load("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const client = join(process.env.PEER_PACKAGES, "node_modules/socket.io-client/dist/socket.io.min.js");
// Without WebSockets: the head start of WebTransport over them is 200 ms, which is little for the first QUIC connection of a browser.
const transports = mode === "upgrade" ? ["polling", "webtransport"] : ["webtransport"];

// A page with a socket that is connected over WebTransport.
async function opened() {
  const page = await browser.newPage();
  atEnd(() => page.close());
  page.on("console", (message) => console.error("the page says:", message.text()));
  // A page of the same origin, for polling. Only pages of trustworthy origins have WebTransport, as those of 127.0.0.1.
  await page.goto(url);
  await page.addScriptTag({ path: client });
  await page.evaluate(async (transports) => {
    const { hash } = await new Promise((resolve) => {
      const polling = io({ forceNew: true, transports: ["polling"] });
      polling.emit("certificate", (hash) => {
        polling.disconnect();
        resolve({ hash });
      });
    });
    const webtransport = { serverCertificateHashes: [{ algorithm: "sha-256", value: hash }] };
    window.socket = io({ forceNew: true, transports, transportOptions: { webtransport } });
    const { engine } = socket.io;
    const upgraded = transports.length > 1 ? new Promise((resolve) => engine.once("upgrade", resolve)) : undefined;
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
    await upgraded;
  }, transports);
  return page;
}

await run({
  async the_session_is_on_webtransport() {
    const page = await opened();
    assert.equal(await page.evaluate(() => socket.io.engine.transport.name), "webtransport");
    assert.equal(await page.evaluate(() => socket.emitWithAck("transport")), "webtransport");
  },

  async text_and_bytes_come_back_in_order() {
    const page = await opened();
    assert.ok(
      await page.evaluate(async () => {
        const seen = [];
        const done = new Promise((resolve) => socket.on("echo", (...args) => seen.push(args) === 8 && resolve()));
        // No empty binary packet: the reference's parser makes a frame of length 0 of it, which every peer refuses.
        const lengths = [1, 2, 125, 126, 4096, 65_535, 65_536, 300_000];
        const text = (length) => "grüße ".repeat(length).slice(0, length);
        const bytes = (length) => new Uint8Array(length).map((_, index) => index % 251);
        for (const length of lengths) socket.emit("echo", text(length), bytes(length).buffer);
        await done;
        return seen.every(([first, second], index) => {
          const [length, answer] = [lengths[index], new Uint8Array(second)];
          return first === text(length) && answer.length === length && answer.every((byte, place) => byte === place % 251);
        });
      }),
    );
  },

  async acks_are_answered_both_ways() {
    const page = await opened();
    const answers = await page.evaluate(async () => {
      socket.on("question", (question, ack) => ack(`${question} because`));
      return [await socket.emitWithAck("sum", 1, 2), await socket.emitWithAck("ask", "why?")];
    });
    assert.deepStrictEqual(answers, [3, "why? because"]);
  },

  async the_server_ends_the_connection() {
    const page = await opened();
    const reason = await page.evaluate(async () => {
      const ended = new Promise((resolve) => socket.once("disconnect", resolve));
      socket.emit("leave");
      return ended;
    });
    assert.equal(reason, "io server disconnect");
  },

  async the_server_notices_that_a_client_closes() {
    const [page, other] = [await opened(), await opened()];
    const id = await page.evaluate(() => socket.id);
    const gone = other.evaluate(
      (id) => new Promise((resolve) => socket.on("gone", (who, reason) => who === id && resolve(reason))),
      id,
    );
    // The listener is there once an answer has come.
    await other.evaluate(() => socket.emitWithAck("transport"));
    await page.evaluate(() => socket.io.engine.close());
    assert.equal(await gone, "transport close");
  },
}, () => browser.close());
