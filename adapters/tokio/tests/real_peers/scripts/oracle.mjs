// Runs the reference parsers: reads lines of cases, and answers each with a line of results, until its input ends.
//
// A case has the format of `conformance/vectors`, without the expected result. The packages are in the directory `PEER_PACKAGES`.

import { createInterface } from "node:readline";
import { answer } from "../../../../../conformance/vectors/reference.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const { codec, cases } = JSON.parse(line);
  const answers = [];
  for (const each of cases) answers.push(await answer(codec, each));
  process.stdout.write(`${JSON.stringify(answers)}\n`);
}
