// Tests the echo server with socket.io-client 2.5 over JSONP: script tags and hidden forms, in Chromium, from a page of another origin.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { atEnd, load, run, url } from "./checks.mjs";

const { chromium } = load("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// The page comes from another port, which is another origin.
const pages = createServer((request, response) => {
  response.setHeader("content-type", "text/html").end("<!doctype html><title>JSONP</title><script>1</script><body></body>");
});
await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));

// Runs a function in a new page. Its argument is a function that connects, and resolves with the socket.
async function inPage(check) {
  const context = await browser.newContext();
  atEnd(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  await page.addScriptTag({ path: load.resolve("socket.io-client-2/dist/socket.io.js") });
  return page.evaluate(
    async ([url, source]) => {
      const manager = new io.Manager(url, { forceJSONP: true, transports: ["polling"], autoConnect: false, reconnection: false });
      const next = (socket, event) =>
        new Promise((resolve, reject) => {
          socket.once(event, (...args) => resolve(args));
          for (const ending of ["connect_error", "disconnect"]) {
            if (ending !== event) socket.once(ending, (reason) => reject(new Error(`${ending}: ${reason?.message ?? reason}`)));
          }
        });
      const connected = async (namespace = "/", query = undefined) => {
        const socket = manager.socket(namespace, { query });
        const connect = next(socket, "connect");
        socket.connect();
        await connect;
        return socket;
      };
      return await (0, eval)(`(${source})`)({ manager, connected, next });
    },
    [url, check.toString()],
  );
}

await run({
  async it_connects_with_script_tags() {
    const seen = await inPage(async ({ manager, connected }) => {
      const socket = await connected();
      return {
        jsonp: typeof window.___eio === "object" || typeof window.___eio === "function",
        script: [...document.scripts].some((script) => script.src.includes("j=")),
        same: socket.id === manager.engine.id,
      };
    });
    assert.equal(seen.jsonp, true);
    assert.equal(seen.script, true);
    assert.equal(seen.same, true);
    },

  async text_with_line_feeds_and_backslashes_comes_back() {
    const pairs = await inPage(async ({ connected, next }) => {
      const socket = await connected();
      const texts = ["", "plain", "a\nb", "a\\nb", "a\r\nb\\", "quotes \" ' </script>", "grüße 你好 😀 \u2028 \u2029", "1:2 &=%25+"];
      const pairs = [];
      for (const text of texts) {
        const answer = next(socket, "message-back");
        socket.emit("message", text, { text });
        pairs.push([[text, { text }], await answer]);
      }
      return pairs;
    });
    for (const [sent, received] of pairs) assert.deepStrictEqual(received, sent);
  },

  async binary_comes_back() {
    const received = await inPage(async ({ connected, next }) => {
      const socket = await connected();
      const answer = next(socket, "message-back");
      socket.emit("message", new Uint8Array([0, 1, 2, 128, 255]).buffer, "text");
      const [bytes, text] = await answer;
      const buffer = bytes instanceof Blob ? await bytes.arrayBuffer() : bytes;
      return [[...new Uint8Array(buffer)], text];
    });
    assert.deepStrictEqual(received, [[0, 1, 2, 128, 255], "text"]);
  },

  async acks_go_both_ways() {
    const received = await inPage(async ({ connected, next }) => {
      const socket = await connected();
      socket.on("question", (text, acknowledge) => acknowledge(text, "answered"));
      const answer = next(socket, "answer");
      socket.emit("ask", "a\nb");
      const acked = new Promise((resolve) => socket.emit("message-with-ack", 1, "ü", (...args) => resolve(args)));
      return [await answer, await acked];
    });
    assert.deepStrictEqual(received, [["a\nb", "answered"], [1, "ü"]]);
  },

  async the_query_of_a_namespace_arrives() {
    const received = await inPage(async ({ manager, connected, next }) => {
      await connected();
      const custom = manager.socket("/custom", { query: "token=1%262" });
      const auth = next(custom, "auth");
      custom.connect();
      return await auth;
    });
    assert.deepStrictEqual(received, [{ token: "1&2" }]);
  },

  async the_server_disconnects_it() {
    const reason = await inPage(async ({ connected, next }) => {
      const socket = await connected();
      const disconnect = next(socket, "disconnect");
      socket.emit("disconnect-me");
      return (await disconnect)[0];
    });
    assert.equal(reason, "io server disconnect");
  },
}, async () => {
  pages.close();
  await browser.close();
});
