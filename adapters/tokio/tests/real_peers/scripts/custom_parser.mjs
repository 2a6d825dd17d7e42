// The JavaScript half of the example parser in the documentation of `socketio_proto::Parser`. Each packet is one binary message:
//
//   type (1 byte), namespace (length in 1 byte), ack id (4 bytes, ff ff ff ff if none), payload as JSON (length in 4 bytes, 0 if none),
//   attachments (length in 4 bytes each) until the end
//
// Numbers are big-endian. For the option `parser` of socket.io and socket.io-client: `{ parser: { Encoder, Decoder } }`.

import { EventEmitter } from "node:events";

const NO_ID = 0xffffffff;

// A copy of the value in which each binary is replaced by a placeholder, and the binaries.
function split(value, attachments) {
  if (Buffer.isBuffer(value) || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    attachments.push(ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : Buffer.from(value));
    return { _placeholder: true, num: attachments.length - 1 };
  }
  if (Array.isArray(value)) return value.map((element) => split(element, attachments));
  if (value === null || typeof value !== "object" || typeof value.toJSON === "function") return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, split(member, attachments)]));
}

function join(value, attachments) {
  if (Array.isArray(value)) return value.map((element) => join(element, attachments));
  if (value === null || typeof value !== "object") return value;
  if (value._placeholder === true) {
    const attachment = attachments[value.num];
    if (attachment === undefined) throw new Error("illegal attachments");
    return attachment;
  }
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, join(member, attachments)]));
}

function sized(bytes) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}

export class Encoder {
  encode({ type, nsp, id, data }) {
    const attachments = [];
    const json = data === undefined ? "" : JSON.stringify(split(data, attachments));
    const namespace = Buffer.from(nsp);
    if (namespace.length > 255) throw new Error("the namespace is too large");
    const number = Buffer.alloc(4);
    number.writeUInt32BE(id ?? NO_ID);
    const parts = [Buffer.from(json), ...attachments].flatMap(sized);
    return [Buffer.concat([Buffer.from([type, namespace.length]), namespace, number, ...parts])];
  }
}

export class Decoder extends EventEmitter {
  add(message) {
    if (typeof message === "string") throw new Error("a packet must be binary");
    const bytes = ArrayBuffer.isView(message)
      ? Buffer.from(message.buffer, message.byteOffset, message.byteLength)
      : Buffer.from(message);
    let at = 0;
    const take = (length) => {
      if (at + length > bytes.length) throw new Error("the packet is truncated");
      at += length;
      return bytes.subarray(at - length, at);
    };
    const type = take(1)[0];
    const nsp = take(take(1)[0]).toString();
    const id = take(4).readUInt32BE();
    const next = () => take(take(4).readUInt32BE());
    const json = next().toString();
    const attachments = [];
    while (at < bytes.length) attachments.push(next());
    const packet = { type, nsp };
    if (id !== NO_ID) packet.id = id;
    if (json !== "") packet.data = join(JSON.parse(json), attachments);
    this.emit("decoded", packet);
  }

  destroy() {}
}
