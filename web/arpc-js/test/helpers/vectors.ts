/** The frames recorded from the original protocol: `label, direction, hex` in each line. */

import { readFileSync } from "node:fs";

export interface Vector {
  readonly label: string;
  readonly direction: "c->s" | "s->c";
  readonly bytes: Uint8Array;
}

const testdata = new URL("../../../../wire/testdata/", import.meta.url);

export const vectors: readonly Vector[] = readFileSync(new URL("vectors.tsv", testdata), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => {
    const [label, direction, hex] = line.split("\t") as [string, Vector["direction"], string];
    return { label, direction, bytes: new Uint8Array(Buffer.from(hex, "hex")) };
  });

export function readTestdata(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, testdata), "utf8"));
}
