// The echo server and a page of another origin, in Chromium.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { atEnd, load, run, url } from "./checks.mjs";

const { chromium } = load("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// The page's server has another port, so it is another origin.
const script = readFileSync(join(process.env.PEER_PACKAGES, "node_modules/socket.io-client/dist/socket.io.min.js"));
const pages = createServer((request, response) => {
  response.setHeader("content-type", request.url === "/client.js" ? "text/javascript" : "text/html");
  response.end(request.url === "/client.js" ? script : '<!doctype html><script src="/client.js"></script>');
});
await new Promise((done) => pages.listen(0, "127.0.0.1", done));

// Sends a text from the page and waits for its echo. Returns what happened, and the codings of the responses.
async function echo(options) {
  const context = await browser.newContext();
  atEnd(() => context.close());
  const page = await context.newPage();
  const codings = new Set();
  page.on("response", (response) => codings.add(response.headers()["content-encoding"]));
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  const outcome = await page.evaluate(
    ([url, options]) =>
      new Promise((done) => {
        const socket = io(url, { reconnection: false, ...options });
        socket.on("connect_error", (error) => done(`connect_error ${error.message}`));
        socket.on("message-back", (text) => done(`${text.length} over ${socket.io.engine.transport.name}`));
        socket.emit("message", "x".repeat(5000));
      }),
    [url, options],
  );
  return { outcome, codings };
}

await run({
  async a_page_of_another_origin_polls_with_credentials_after_a_preflight_and_gets_compressed_polls() {
    // A header of its own makes the browser ask first.
    const { outcome, codings } = await echo({ transports: ["polling"], withCredentials: true, extraHeaders: { "x-custom": "1" } });
    assert.equal(outcome, "5000 over polling");
    assert.ok(codings.has("gzip"), [...codings].join());
  },

  async a_page_of_another_origin_cannot_poll_without_the_option() {
    const { outcome } = await echo({ transports: ["polling"] });
    assert.equal(outcome, "connect_error xhr poll error");
  },

  async a_page_of_another_origin_opens_a_websocket_unless_origins_are_checked() {
    const { outcome } = await echo({ transports: ["websocket"] });
    assert.equal(outcome, "5000 over websocket");
  },
}, () => {
  pages.close();
  return browser.close();
});
