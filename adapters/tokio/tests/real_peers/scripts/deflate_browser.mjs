// Compression between the echo server and socket.io-client in Chromium.

import assert from "node:assert/strict";
import { join } from "node:path";
import { atEnd, load, run, url } from "./checks.mjs";

const { chromium } = load("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const client = join(process.env.PEER_PACKAGES, "node_modules/socket.io-client/dist/socket.io.min.js");

// A page with a connected socket.
async function opened(options = { transports: ["websocket"] }) {
  const page = await browser.newPage();
  atEnd(() => page.close());
  page.on("console", (message) => console.error("the page says:", message.text()));
  // A page of the same origin, for polling. That it is not found is of no interest.
  await page.goto(url);
  await page.addScriptTag({ path: client });
  await page.evaluate(async (options) => {
    window.socket = io({ forceNew: true, ...options });
    const { engine } = socket.io;
    const upgraded = options.transports[0] === "polling" ? new Promise((resolve) => engine.once("upgrade", resolve)) : undefined;
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
    await upgraded;
    window.echoed = (...args) =>
      new Promise((resolve) => {
        socket.once("message-back", (...answer) => resolve(answer));
        socket.emit("message", ...args);
      });
  }, options);
  return page;
}

const extensions = (page) => page.evaluate(() => socket.io.engine.transport.ws.extensions);

await run({
  async compression_is_agreed_on() {
    for (const transports of [["websocket"], ["polling", "websocket"]]) {
      const page = await opened({ transports });
      assert.equal(await extensions(page), "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    }
  },

  async text_comes_back() {
    const page = await opened();
    for (const length of [0, 1, 1000, 1024, 5000, 65_536, 300_000]) {
      assert.ok(
        await page.evaluate(async (length) => {
          const text = "grüße 😀 ".repeat(length).slice(0, length);
          const number = String(Math.random());
          const [first, second] = await echoed(text, number);
          return first === text && second === number;
        }, length),
        String(length),
      );
    }
  },

  async bytes_come_back() {
    const page = await opened();
    for (const random of [false, true]) {
      assert.ok(
        await page.evaluate(async (random) => {
          const bytes = new Uint8Array(60_000).map((_, index) => (random ? Math.random() * 256 : index >> 8));
          const [answer] = await echoed(bytes.buffer);
          const seen = new Uint8Array(answer);
          return seen.length === bytes.length && seen.every((byte, index) => byte === bytes[index]);
        }, random),
      );
    }
  },

  async a_broadcast_reaches_every_page() {
    const pages = [await opened(), await opened(), await opened()];
    const heard = pages.map((page) =>
      page.evaluate(() => new Promise((resolve) => socket.once("broadcast-back", (text) => resolve(text.length)))),
    );
    // The listeners are there once a later message has come back.
    for (const page of pages) await page.evaluate(() => echoed("ready?"));
    await pages[0].evaluate(() => socket.emit("broadcast", "all of you ".repeat(5000)));
    assert.deepStrictEqual(await Promise.all(heard), [55_000, 55_000, 55_000]);
  },
}, () => browser.close());
