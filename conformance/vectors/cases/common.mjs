// Helpers to write the lists of cases.

export const decode = (what, input, options) => ({
  operation: "decode",
  what,
  input: [].concat(input).map((each) => (typeof each === "string" ? { text: each } : { hex: Buffer.from(each).toString("hex") })),
  options,
});

export const encode = (what, input, options) => ({ operation: "encode", what, input: [].concat(input), options });

export const bytes = (...values) => Uint8Array.from(values.flat());

export const repeated = (count, value) => Array.from({ length: count }, () => value);

// 0, 1, 2 ... 255, 0 ...
export const counting = (count) => Array.from({ length: count }, (_, index) => index % 256);

export const utf8 = (text) => [...Buffer.from(text)];

// Returns the name of a character for the name of a case.
export const named = (text) =>
  /^[\x21\x23-\x7e]+$/.test(text) ? `"${text}"` : `U+${[...text].map((c) => c.codePointAt(0).toString(16).padStart(4, "0")).join(" U+")}`;

export const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

export const TEXTS = { ascii: "hello", accents: "héllo", euro: "€", emoji: "😀a", json: '{"a":[1,"b"]}', newline: "a\nb", zero: "a\u0000b" };
