// The node side of package control: one JSON value a line, commands on standard
// input, answers on standard output, until standard input ends.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);

/** The versions that only this process knows. */
export const versions = {
  "socket.io": require("socket.io/package.json").version,
  node: process.version,
};

/** Writes one answer. */
export function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Answers each command with what `answer` makes of it, then exits. */
export async function obey(answer) {
  for await (const line of createInterface({ input: process.stdin })) {
    say(await answer(JSON.parse(line)));
  }
  process.exit(0);
}
