// The reference parsers, for as long as somebody asks: a line of cases in, a line of answers out.
//
// A case is one of `conformance/vectors` without its answer. The packages are where `PEER_PACKAGES` says.

import { createInterface } from "node:readline";
import { answer } from "../../../../../conformance/vectors/reference.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const { codec, cases } = JSON.parse(line);
  const answers = [];
  for (const each of cases) answers.push(await answer(codec, each));
  process.stdout.write(`${JSON.stringify(answers)}\n`);
}
