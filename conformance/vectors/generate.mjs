// Writes the vector files of this directory: `npm ci && node generate.mjs`.
//
// The inputs are in `cases/`, one module for each family of codecs. The expected results come from the pinned reference parsers. The
// same inputs and packages give the same bytes, so a file only changes if the reference or a case changes.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { answer } from "./reference.mjs";
import * as engineio4 from "./cases/engineio4.mjs";
import * as engineio3 from "./cases/engineio3.mjs";
import * as socketio from "./cases/socketio.mjs";
import * as msgpack from "./cases/msgpack.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { dependencies } = JSON.parse(readFileSync(here("package.json")));

const SOURCES = {
  "engineio4-packet": "engine.io-parser",
  "engineio4-payload": "engine.io-parser",
  "engineio4-webtransport": "engine.io-parser",
  "engineio3-packet": "engine.io-parser-2",
  "engineio3-payload": "engine.io-parser-2",
  socketio5: "socket.io-parser",
  socketio4: "socket.io-parser-3",
  "socketio5-msgpack": "socket.io-msgpack-parser",
};

// An alias is pinned as "npm:name@version".
function source(name) {
  const pinned = dependencies[name];
  return pinned.startsWith("npm:") ? pinned.slice(4).replace("@", " ") : `${name} ${pinned}`;
}

// Replaces characters that are not suitable in an id with their code points.
const slug = (what) => what.replaceAll(/[,:]? /g, "-").replaceAll('"', "").replaceAll(/[^A-Za-z0-9.+_-]/gu, (c) => `_${c.codePointAt(0).toString(16)}`);

const LONG = 600;
const SHORTEST_RUN = 16;

// Abbreviates long content as pairs of a text and the number of its repetitions.
function squeezed(content, width) {
  if (content.length <= LONG) return content;
  const units = content.match(new RegExp(`[^]{1,${width}}`, width === 1 ? "gu" : "g"));
  const runs = [];
  let single = "";
  for (let at = 0; at < units.length; ) {
    let end = at;
    while (units[end] === units[at]) end += 1;
    if (end - at < SHORTEST_RUN) {
      single += units.slice(at, end).join("");
    } else {
      if (single) runs.push([single, 1]);
      single = "";
      runs.push([units[at], end - at]);
    }
    at = end;
  }
  if (single) runs.push([single, 1]);
  return runs;
}

function squeeze(each) {
  if (each.hex !== undefined) return { ...each, hex: squeezed(each.hex, 2) };
  if (each.text !== undefined) return { ...each, text: squeezed(each.text, 1) };
  return each;
}

function squeezedCase({ input, expect, ...rest }) {
  const list = expect.messages ? "messages" : "packets";
  return { ...rest, input: input.map(squeeze), expect: { ...expect, [list]: expect[list].map(squeeze) } };
}

const families = { ...engineio4.cases, ...engineio3.cases, ...socketio.cases, ...msgpack.cases };
let total = 0;
for (const [codec, package_] of Object.entries(SOURCES)) {
  const cases = [];
  const ids = new Set();
  for (const { operation, what, input, options } of families[codec]) {
    const id = `${operation}/${slug(what)}`;
    if (ids.has(id)) throw new Error(`${codec} has two cases ${id}`);
    ids.add(id);
    const question = { id, what, operation, input, ...(options ? { options } : {}) };
    cases.push(squeezedCase({ ...question, expect: await answer(codec, question) }));
  }
  const head = JSON.stringify({ codec, source: source(package_) }).slice(0, -1);
  const lines = cases.map((each) => `  ${JSON.stringify(each)}`).join(",\n");
  writeFileSync(here(`${codec}.json`), `${head},"cases":[\n${lines}\n]}\n`);
  console.log(`${codec}.json: ${cases.length} cases`);
  total += cases.length;
}
console.log(`${total} cases`);
