/** A user's program that uses each feature: it compiles, and does it against the chat demo. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, it } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../..", import.meta.url));
const compilers = [
  { version: "5.5", home: "../runtimes/package.json" },
  { version: "7.0", home: "../../package.json" },
].map(({ version, home }) => {
  const { resolve } = createRequire(new URL(home, import.meta.url));
  return { version, tsc: join(dirname(resolve("typescript/package.json")), "bin/tsc") };
});

let demo: ChildProcess;
let url = "";

beforeAll(async () => {
  const program = join(inject("project"), "chat-demo");
  await run("go", ["build", "-o", program, "./web/chat-demo"], { cwd: root });
  demo = spawn(program, ["-http", "localhost:0", "-tcp", "localhost:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  url = await address(demo);
});

afterAll(async () => {
  const exited = once(demo, "exit");
  demo.kill();
  await exited;
});

/** Where the demo says that it serves. */
async function address({ stdout }: ChildProcess): Promise<string> {
  if (stdout)
    for await (const line of createInterface(stdout)) {
      const [, page] = /http:\/\/(\S+)/.exec(line) ?? [];
      if (page) return `ws://${page}/ws`;
    }
  throw new Error("the demo ended before it said where it serves");
}

it.each(compilers)(
  "compiles with TypeScript $version, and does what it says",
  { timeout: 240_000 },
  async ({ tsc }) => {
    const folder = join(inject("project"), "features");
    await mkdir(folder, { recursive: true });
    await copyFile(new URL("features.ts", import.meta.url), join(folder, "features.ts"));
    const strict = {
      strict: true,
      skipLibCheck: false,
      exactOptionalPropertyTypes: true,
      types: [],
    };
    const target = { target: "es2022", lib: ["es2022", "dom"], module: "nodenext" };
    const config = { compilerOptions: { ...strict, ...target }, files: ["features.ts"] };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
    const compiled = await run(process.execPath, [tsc, "-p", "."], { cwd: folder }).catch(
      ({ stdout }: { stdout: string }) => ({ stdout, stderr: "" }),
    );
    expect(compiled.stdout).toBe("");
    const { stdout, stderr } = await run(process.execPath, ["features.js", url], {
      cwd: folder,
      timeout: 120_000,
    });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual([
      "calls",
      "cancels",
      "handlers",
      "streams",
      "topics",
      "presence",
      "codec",
      "debug",
      "coder",
      "states",
      "core",
    ]);
  },
);
