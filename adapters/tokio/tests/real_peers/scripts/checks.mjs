// Runs the checks of a script one after the other, and reports each as one line of JSON. All scripts here use it.
//
// A script is started as `script URL MODE CHECK...`. For each check it prints {"check": name, "ok": true} or {"check": name, "ok": false,
// "error": text}. It sends requests to the test program as {"do": ...} lines, each of which is answered by a line on standard input. It
// ends when its standard input ends, so that no script outlives the test program.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { writeSync } from "node:fs";

// The packages are not installed beside the scripts, so they cannot be imported by name.
export const load = createRequire(join(process.env.PEER_PACKAGES, "package.json"));

export const [url, mode, ...wanted] = process.argv.slice(2);

// The last resort against a hang. No check depends on its value.
const DEADLINE_MS = 60_000;

const say = (value) => writeSync(1, `${JSON.stringify(value)}\n`);

const answers = [];
createInterface({ input: process.stdin })
  .on("line", (line) => answers.shift()?.(line))
  .on("close", () => process.exit(3));

// Asks the test program to do something with the server ("stop", "start"), and waits until it is done.
export const ask = (what) =>
  new Promise((resolve) => {
    answers.push(resolve);
    say({ do: what });
  });

// A failed check leaves promises that are never awaited. They must not end the checks after it.
process.on("unhandledRejection", (error) => console.error("unhandled rejection of an earlier check:", error?.message ?? error));

const cleanups = [];

// Runs `task` at the end of the current check, whatever its outcome.
export const atEnd = (task) => cleanups.push(task);

// The arguments of the next `event`. If a connection fails or ends unexpectedly, the check fails at once instead of running into the
// deadline.
export function next(emitter, event, endings = ["connect_error", "disconnect", "close", "error"]) {
  return new Promise((resolve, reject) => {
    const listeners = new Map();
    const settle = (action) => (...values) => {
      for (const [name, listener] of listeners) emitter.off(name, listener);
      action(values);
    };
    listeners.set(event, settle(resolve));
    for (const ending of endings) {
      if (ending === event) continue;
      listeners.set(
        ending,
        settle(([reason]) => reject(new Error(`"${ending}" (${reason?.message ?? reason}) while waiting for "${event}"`))),
      );
    }
    for (const [name, listener] of listeners) emitter.on(name, listener);
  });
}

function withDeadline(promise) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing happened for ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}

// `finish` runs after the last check.
export async function run(checks, finish = () => {}) {
  let failed = false;
  for (const name of wanted) {
    try {
      if (!Object.hasOwn(checks, name)) throw new Error("the script has no such check");
      await withDeadline(checks[name]());
      say({ check: name, ok: true });
    } catch (error) {
      failed = true;
      say({ check: name, ok: false, error: String(error?.stack ?? error) });
    }
    for (const task of cleanups.splice(0)) await task();
  }
  await finish();
  process.exit(failed ? 1 : 0);
}
