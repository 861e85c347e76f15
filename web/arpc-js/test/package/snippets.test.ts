/** Every piece of TypeScript in the README and the page on sessions compiles, against the installed package. */

import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, inject, it } from "vitest";

const run = promisify(execFile);
const pages = ["../../README.md", "../../../../docs/sessions.md"];
const texts = await Promise.all(
  pages.map((page) => readFile(new URL(page, import.meta.url), "utf8")),
);
const snippets = [...texts.join("\n").matchAll(/^```(tsx?)\n(.*?)^```$/gms)].map(
  ([, kind, code], i) => ({
    name: `${i + 1}.${kind}`,
    first: code?.split("\n", 1)[0] ?? "",
    code: code ?? "",
  }),
);

/** What the snippets take as given: theirs are the names of the reader's own program. */
const GIVEN = `
import type * as arpc from "arpc-js";
declare global {
  const client: arpc.Client;
  const controller: AbortController;
  const order: unknown;
  const data: unknown;
  const job: unknown;
  const key: Uint8Array;
  const traceparent: string | undefined;
  const message: { readonly id: string };
  function ask(question: unknown): Promise<boolean>;
  function banner(text: string): void;
  function fetchToken(): Promise<string>;
  function reload(...about: unknown[]): void;
  function report(error: Error): void;
  function retry(order: unknown): void;
  function showState(...about: unknown[]): void;
  function work(...about: unknown[]): unknown;
  function show(data: unknown): void;
  const connect: typeof arpc.connect;
  const ArpcError: typeof arpc.ArpcError;
  const isArpcError: typeof arpc.isArpcError;
  interface Api {
    calls: { "/room": { request: { id: number }; reply: { title: string } } };
    topics: { [room: \`room:\${string}\`]: { text: string } };
  }
}
`;

let said = "";

beforeAll(async () => {
  const folder = join(inject("project"), "snippets");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "given.d.ts"), GIVEN);
  for (const { name, code } of snippets) {
    await writeFile(join(folder, `snippet${name}`), `${code}\nexport {};\n`);
  }
  const compilerOptions = {
    strict: true,
    noEmit: true,
    types: [],
    target: "es2022",
    lib: ["es2022", "dom", "dom.iterable"],
    module: "nodenext",
    jsx: "react-jsx",
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const home = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  said = await run(process.execPath, [join(home, "bin/tsc"), "-p", folder], { cwd: folder }).then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout || stderr,
  );
});

it("finds them", () => expect(snippets.length).toBeGreaterThan(15));

it.each(snippets)("$name compiles: $first", ({ name }) => {
  const problems = said.split("\n").filter((line) => line.startsWith(`snippet${name}(`));
  expect(problems).toEqual([]);
});

it("says nothing of anything else", () => {
  const others = said.split("\n").filter((line) => line && !/^(snippet|\s)/.test(line));
  expect(others).toEqual([]);
});
