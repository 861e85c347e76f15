/** What the types of the installed package are to users, strict ones, of old and new TypeScript. */

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, inject, it } from "vitest";

const run = promisify(execFile);

const USER_FILE = `
import { type Client as CoreClient, connect as connectCore } from "arpc-js/core";
import { useCall, useConnection, useTopic } from "arpc-js/react";
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
export function Room(props: { client: Client<Api> }): string {
  const { state, delay } = useConnection(props.client);
  const { data, error, loading, refetch } = useCall(props.client, "/echo", "hi", { keepData: true });
  const { messages, gaps } = useTopic(props.client, "news", { limit: 10 });
  const text: string | undefined = data;
  const last: string | undefined = messages.at(-1)?.data.text;
  return [state, delay, text, error?.code, loading, refetch, last, gaps.length].join();
}

export async function useCore(url: string): Promise<string> {
  const client: CoreClient<Api> = connectCore<Api>(url);
  const reply: string = await client.call("/echo", "hi");
  return reply;
}
// @ts-expect-error there is no such method
void connect<Api>("").call("/none", "x");
`;

const compilers = [
  { version: "5.5", home: "../runtimes/package.json" },
  { version: "7.0", home: "../../package.json" },
].map(({ version, home }) => {
  const { resolve } = createRequire(new URL(home, import.meta.url));
  return { version, path: join(dirname(resolve("typescript/package.json")), "bin/tsc") };
});
const modules = [
  { module: "nodenext", moduleResolution: "nodenext" },
  { module: "esnext", moduleResolution: "bundler" },
];
const cases = compilers.flatMap((compiler) => modules.map((options) => ({ ...compiler, options })));

/** What a compiler says of a file in the project; "" if nothing. */
async function compile(tsc: string, source: string, options: object): Promise<string> {
  const project = inject("project");
  const strict = { strict: true, noEmit: true, skipLibCheck: false, types: [] };
  const target = { target: "es2022", lib: ["es2022", "dom"] };
  const config = { compilerOptions: { ...strict, ...target, ...options }, files: ["user.ts"] };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify(config));
  await writeFile(join(project, "user.ts"), source);
  // tsc writes what it finds to stdout.
  const { stdout } = await run(process.execPath, [tsc, "-p", "."], { cwd: project }).catch(
    ({ stdout, stderr }: { stdout: string; stderr: string }) => ({ stdout: stdout || stderr }),
  );
  return stdout;
}

it.each(compilers)("knows TypeScript $version by its version", async ({ path, version }) => {
  const { stdout } = await run(process.execPath, [path, "--version"]);
  expect(stdout).toContain(`Version ${version}.`);
});

it.each(cases)(
  "type-checks with TypeScript $version, $options.module",
  async ({ path, options }) => {
    expect(await compile(path, USER_FILE, options)).toBe("");
  },
);

it.each(cases)("refuses what is wrong, $version, $options.module", async ({ path, options }) => {
  const wrong = USER_FILE.replace("// @ts-expect-error there is no such method", "");
  expect(await compile(path, wrong, options)).toMatch(/^user\.ts.*'"\/none"'/);
});
