// Runs the reference parsers on one case, and returns the result in the format of the vector files.
//
// Both the generator of the vectors and the live oracle of the tests use this module, so their results are comparable.
// `README.md` describes the format of cases and results.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

// `PEER_PACKAGES` selects another directory with the packages.
const packages = process.env.PEER_PACKAGES ?? fileURLToPath(new URL(".", import.meta.url));
const require = createRequire(join(packages, "package.json"));

const engine4 = require("engine.io-parser");
const engine3 = require("engine.io-parser-2");
const socket5 = require("socket.io-parser");
const socket4 = require("socket.io-parser-3");
const msgpack = require("socket.io-msgpack-parser");

// Deeper values are replaced by a marker, because many JSON parsers reject them.
const DEEPEST = 100;

export const toHex = (bytes) => Buffer.from(bytes).toString("hex");

const isWellFormed = (text) => text.isWellFormed?.() ?? !/\p{Surrogate}/u.test(text);

const toUtf16 = (text) => Array.from({ length: text.length }, (_, at) => text.charCodeAt(at).toString(16).padStart(4, "0")).join("");

const isBytes = (value) => ArrayBuffer.isView(value) || value instanceof ArrayBuffer;

// Converts a JavaScript value to JSON.
export function describe(value, depth = 0) {
  if (depth > DEEPEST) return { $deep: true };
  switch (typeof value) {
    case "undefined":
      return { $undefined: true };
    case "number":
      return Number.isFinite(value) ? value : { $float: String(value) };
    case "string":
      return isWellFormed(value) ? value : { $utf16: toUtf16(value) };
    case "object":
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (isBytes(value)) return { $bytes: toHex(value) };
  if (value instanceof Date) return { $date: value.getTime() };
  if (Array.isArray(value)) return Array.from(value, (element) => describe(element, depth + 1));
  const entries = Object.entries(value).map(([key, element]) => [key, describe(element, depth + 1)]);
  if (entries.some(([key]) => key.startsWith("$") || key === "__proto__" || !isWellFormed(key))) {
    return { $entries: entries.map(([key, element]) => [describe(key), element]) };
  }
  return Object.fromEntries(entries);
}

// Converts JSON to a JavaScript value.
export function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  const [[tag, content] = []] = Object.entries(value);
  switch (tag) {
    case "$undefined":
      return undefined;
    case "$float":
      return Number(content);
    case "$bytes":
      return Buffer.from(content, "hex");
    case "$utf16":
      return String.fromCharCode(...(content.match(/.{4}/g) ?? []).map((unit) => parseInt(unit, 16)));
    case "$date":
      return new Date(content);
    case "$entries":
      return Object.fromEntries(content.map(([key, element]) => [revive(key), revive(element)]));
    default:
      return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, revive(element)]));
  }
}

// Returns text or bytes under the key of their form.
function message(content) {
  if (typeof content !== "string") return { hex: toHex(content) };
  return isWellFormed(content) ? { text: content } : { utf16: toUtf16(content) };
}

const content = ({ text, hex }) => text ?? Buffer.from(hex, "hex");

// Engine.IO

const enginePacket = (packet) => ({
  // The reference of revision 3 returns packets without a type for some invalid inputs.
  type: packet.type ?? null,
  ...(packet.data === undefined ? {} : message(packet.data)),
});

const engineInput = ({ type, text, hex, utf16 }) => {
  if (hex !== undefined) return { type, data: Buffer.from(hex, "hex") };
  if (utf16 !== undefined) return { type, data: revive({ $utf16: utf16 }) };
  return text === undefined ? { type } : { type, data: text };
};

// Returns the packets up to the first error.
function engineOutcome(decoded) {
  const bad = decoded.findIndex(({ type }) => type === "error");
  if (bad < 0) return { packets: decoded.map(enginePacket) };
  return { packets: decoded.slice(0, bad).map(enginePacket), error: decoded[bad].data };
}

// A text body is decoded before it is parsed. This replaces invalid UTF-8 with U+FFFD.
const textBody = ([only]) => content(only).toString();

function called(run) {
  let result;
  run((answer) => (result = answer));
  return result;
}

function collected(run) {
  const decoded = [];
  run((packet) => void decoded.push(packet));
  return decoded;
}

// Writes the chunks to the stream one after the other, and returns its output.
async function streamed(stream, chunks) {
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  const output = [];
  const reading = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      output.push(value);
    }
  })();
  for (const chunk of chunks) await writer.write(chunk);
  await writer.close();
  await reading;
  return output;
}

// Socket.IO

const SOCKET_TYPES = ["connect", "disconnect", "event", "ack", "connect_error", "event", "ack"];

function socketPacket({ type, nsp, id, data }) {
  return {
    type: SOCKET_TYPES[type],
    ...(nsp === undefined ? {} : { namespace: describe(nsp) }),
    ...(id === undefined ? {} : { id: describe(id) }),
    ...(data === undefined ? {} : { data: describe(data) }),
  };
}

function socketDecoded(decoder, input) {
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(socketPacket(packet)));
  try {
    for (const each of input) decoder.add(content(each));
    return { packets };
  } catch (error) {
    return { packets, error: error.message };
  }
}

// Returns the members of a packet in the order of the case, because MessagePack writes them in this order.
function socketInput(packet) {
  const names = { type: "type", namespace: "nsp", id: "id", data: "data", options: "options" };
  const members = Object.entries(packet).filter(([name]) => name in names);
  return Object.fromEntries(
    members.map(([name, value]) => [names[name], name === "type" ? SOCKET_TYPES.indexOf(value) : revive(value)]),
  );
}

const hasBytes = (value) => {
  if (value === null || typeof value !== "object") return false;
  return isBytes(value) || Object.values(value).some(hasBytes);
};

const CODECS = {
  "engineio4-packet": {
    decode: ([only]) => engineOutcome([engine4.decodePacket(content(only))]),
    encode: ([only], { binary }) => [called((done) => engine4.encodePacket(engineInput(only), binary, done))],
  },
  "engineio4-payload": {
    decode: (input) => engineOutcome(engine4.decodePayload(textBody(input))),
    encode(input) {
      const encoded = called((done) => engine4.encodePayload(input.map(engineInput), done));
      return encoded === undefined ? [] : [encoded];
    },
  },
  "engineio4-webtransport": {
    async decode(input, { max_payload }) {
      const chunks = input.map((chunk) => new Uint8Array(content(chunk)));
      return engineOutcome(await streamed(engine4.createPacketDecoderStream(max_payload), chunks));
    },
    encode: async (input) => [Buffer.concat(await streamed(engine4.createPacketEncoderStream(), input.map(engineInput)))],
  },
  "engineio3-packet": {
    decode: ([only]) => engineOutcome([engine3.decodePacket(content(only))]),
    encode: ([only], { binary }) => [called((done) => engine3.encodePacket(engineInput(only), binary, false, done))],
  },
  "engineio3-payload": {
    decode: ([only]) => engineOutcome(collected((each) => engine3.decodePayload(content(only), each))),
    encode: (input, { binary }) => [called((done) => engine3.encodePayload(input.map(engineInput), binary, done))],
  },
  socketio5: {
    decode: (input) => socketDecoded(new socket5.Decoder(), input),
    encode: ([only]) => new socket5.Encoder().encode(socketInput(only)),
  },
  socketio4: {
    decode: (input) => socketDecoded(new socket4.Decoder(), input),
    encode([only]) {
      const packet = socketInput(only);
      // The server and the client of the reference do the same before they encode.
      if (hasBytes(packet.data)) packet.type += 3;
      return called((done) => new socket4.Encoder().encode(packet, done));
    },
  },
  "socketio5-msgpack": {
    decode: (input) => socketDecoded(new msgpack.Decoder(), input),
    encode: ([only]) => new msgpack.Encoder().encode(socketInput(only)),
  },
};

// Returns the result of the reference for a case: its `expect`.
export async function answer(codec, { operation, input, options = {} }) {
  try {
    if (operation === "decode") return await CODECS[codec].decode(input, options);
    return { messages: (await CODECS[codec].encode(input, options)).map(message) };
  } catch (error) {
    return { packets: [], error: String(error?.message ?? error) };
  }
}
