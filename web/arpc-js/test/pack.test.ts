/** The tarball, installed into an empty project: it type-checks there and it runs there. */

import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServer, topics } from "./helpers/server.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const modules = fileURLToPath(new URL("..", import.meta.resolve("ws/package.json")));
let project = "";
let files: string[] = [];

const USER_FILE = `
import { ArpcError, type Client, connect, type Context, isArpcError, type Message } from "arpc-js";

interface Api {
  calls: { "/echo": { request: string; reply: string } };
  topics: { news: { text: string } };
}

export async function use(url: string): Promise<string> {
  const client: Client<Api> = connect<Api>(url, { timeout: 5000, WebSocket });
  client.use(async (ctx: Context, next) => { await next(); });
  client.handleNotFound((ctx) => ctx.method);
  client.on("state", (state, { delay }) => { const text: string = state; void text; void delay; });
  const room = client.subscribe("news", (message: Message<{ text: string }>) => { void message.data.text; });
  await room.ready;
  await client.publish("news", { text: "hi" });
  for await (const { data } of room) { void data.text; break; }
  try {
    const reply: string = await client.call("/echo", "hi", { signal: new AbortController().signal });
    return reply;
  } catch (error) {
    if (isArpcError(error) && error instanceof ArpcError) return error.code;
    throw error;
  } finally {
    client.close();
  }
}
// @ts-expect-error there is no such method
void connect<Api>("").call("/none", "x");
`;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "arpc-js-pack-"));
  const pack = ["pack", "--json", "--pack-destination", project];
  const { stdout } = await run("npm", pack, { cwd: root });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf("["))) as [
    { filename: string; files: Array<{ path: string }> },
  ];
  files = packed.files.map(({ path }) => path).sort();
  await writeFile(join(project, "package.json"), '{"name":"user","private":true,"type":"module"}');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", packed.filename], {
    cwd: project,
  });
  await symlink(join(modules, "ws"), join(project, "node_modules/ws"));
}, 60_000);

afterAll(() => rm(project, { recursive: true, force: true }));

it("holds what it is to hold", async () => {
  const top = files.filter((path) => !path.endsWith(".d.ts"));
  expect(top).toEqual([
    "LICENSE",
    "README.md",
    "dist/arpc.js",
    "dist/arpc.js.map",
    "dist/index.js",
    "dist/index.js.map",
    "package.json",
  ]);
  const sources = (await readdir(join(root, "src"))).map((name) => name.replace(".ts", ".d.ts"));
  const declarations = files.filter((path) => path.endsWith(".d.ts"));
  expect(declarations).toEqual(sources.map((name) => `dist/${name}`).sort());
});

it.each([
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
])("type-checks with module %s", async (module, moduleResolution) => {
  await writeFile(join(project, "user.ts"), USER_FILE);
  const tsc = join(modules, "typescript/bin/tsc");
  const flags = ["--strict", "--noEmit", "--skipLibCheck", "false", "--types", ""];
  const target = ["--lib", "es2022,dom", "--target", "es2022", "--module", module];
  const resolution = ["--moduleResolution", moduleResolution];
  const args = [tsc, ...flags, ...target, ...resolution, "user.ts"];
  // tsc writes what it finds to stdout.
  const { stdout } = await run(process.execPath, args, { cwd: project }).catch(
    ({ stdout, stderr }: { stdout: string; stderr: string }) => ({ stdout: stdout || stderr }),
  );
  expect(stdout).toBe("");
});

it("does not type-check what is wrong", async () => {
  const wrong = USER_FILE.replace("// @ts-expect-error there is no such method", "");
  await writeFile(join(project, "wrong.ts"), wrong);
  const tsc = join(modules, "typescript/bin/tsc");
  const args = [tsc, "--strict", "--noEmit", "--types", "", "--lib", "es2022,dom", "wrong.ts"];
  await expect(run(process.execPath, args, { cwd: project })).rejects.toMatchObject({
    stdout: expect.stringMatching(/^wrong\.ts.*'"\/none"'/) as string,
  });
});

describe("the module", () => {
  it("talks, with the sockets of ws, and ends when its clients are closed", async () => {
    const server = await startServer(topics());
    const program = `
      import { connect } from "arpc-js";
      import { WebSocket } from "ws";
      const [url] = process.argv.slice(2);
      const clients = Array.from({ length: 20 }, () => connect(url, { WebSocket }));
      const rooms = clients.map((client) => client.subscribe("news"));
      await Promise.all(rooms.map((room) => room.ready));
      await clients[0].publish("news", { text: "hi" });
      for await (const { topic, data, offset } of rooms[19]) {
        console.log(JSON.stringify({ topic, data, offset }));
        break;
      }
      for (const client of clients) client.close();
      connect("ws://127.0.0.1:1/", { WebSocket }).close();
    `;
    await writeFile(join(project, "run.js"), program);
    // Nothing tells the process to exit: it does when no timer, socket or listener holds it.
    const { stdout, stderr } = await run(process.execPath, ["run.js", server.url], {
      cwd: project,
      timeout: 15_000,
    });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ topic: "news", data: { text: "hi" }, offset: 1 });
  });

  it("keeps the name of its error class", async () => {
    const module = await readFile(join(project, "node_modules/arpc-js/dist/index.js"), "utf8");
    expect(module).toContain("ArpcError = class extends Error");
  });
});

describe("the script", () => {
  it("sets one global, exports the list, and needs nothing of the runtime to load", async () => {
    const script = await readFile(join(project, "node_modules/arpc-js/dist/arpc.js"), "utf8");
    const sandbox: { arpc?: object } = {};
    runInNewContext(script, sandbox);
    expect(Object.keys(sandbox)).toEqual(["arpc"]);
    const names = ["ArpcError", "connect", "errorCodes", "isArpcError"];
    expect(Object.keys(sandbox.arpc ?? {}).sort()).toEqual(names);
  });
});

it("has no runtime dependency", async () => {
  const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as object;
  expect(manifest).not.toHaveProperty("dependencies");
  expect(manifest).not.toHaveProperty("peerDependencies");
});
