// Sample values that are sent in both directions: values that an encoder could get wrong.

export const texts = [
  "",
  "plain",
  "quotes \" and \\ and / and \u0000 and \u001e and \u2028",
  "grüße, привет, 你好, こんにちは",
  "emoji 😀 👩‍👩‍👧‍👦 🏳️‍🌈",
];

export const values = [
  null,
  true,
  0,
  -1.5,
  1e21,
  Number.MAX_SAFE_INTEGER,
  [],
  {},
  [[["deep"], {}], { a: { b: [{ c: null }] } }],
  { "": 1, "key with \"quotes\"": [1, 2, 3], __proto__of: "nothing", _placeholder: false, num: 0 },
];

export const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));

// The bytes are not constant, so that a shifted or repeated block is detected.
export const megabyteOfBytes = Buffer.alloc(1_000_000).map((_, index) => (index * 31 + (index >> 8)) & 0xff);
export const megabyteOfText = Array.from({ length: 100_000 }, (_, index) => String(index).padStart(10, "0")).join("");
