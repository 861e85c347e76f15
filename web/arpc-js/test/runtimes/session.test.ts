/** A session of a page in Chromium: without a network, without a socket, in the back-forward cache, asleep. */

import { randomUUID } from "node:crypto";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, inject, it, onTestFinished } from "vitest";
import { type GoServer, startGoServer } from "./server.ts";

const { CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;

/** How often a page loses its network three times and its socket twice. */
const ROUNDS = process.env["ARPC_SLOW"] ? 10 : 1;
/** Parts of an answer that it gets meanwhile. */
const PARTS = 500 * ROUNDS;

/** What a page listens to a story with: it notes each part, and calls for each. */
const script = `
  import { connect } from "/arpc-js/index.js";
  const session = new URLSearchParams(location.search).get("session") ?? "memory";
  const client = connect("/ws", { session, timeout: 0 });
  const events = [], parts = [], told = [], echoes = [];
  for (const event of ["paused", "resumed", "lost"]) client.on(event, () => events.push(event));
  client.handle("/told", ({ body }) => void told.push(body));
  client.handle("/patient", () => new Promise((resolve) => (globalThis.release = resolve)));
  async function listen(name, count) {
    const diary = client.call("/notes", count);
    const called = client.call("/call-back", { method: "/patient", body: {} });
    const stream = client.stream("/story");
    await stream.send({ name, parts: count });
    for await (const part of stream) {
      client.notify("/note", parts.length);
      echoes.push(client.call("/echo", parts.length));
      parts.push(part);
    }
    release("at last");
    return { diary: await diary, called: await called, echoes: await Promise.all(echoes) };
  }
  document.addEventListener("freeze", () => events.push("frozen"));
  Object.assign(globalThis, { client, events, parts, told, echoes, listen });`;

let folder = "";
let server: GoServer;
let browser: Browser;
let name = "";
/** The page, and one that has its story told. */
let page: Page;
let other: Page;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "arpc-js-session-"));
  await cp(join(inject("project"), "node_modules/arpc-js/dist"), join(folder, "arpc-js"), {
    recursive: true,
  });
  const html = `<!doctype html><title>arpc-js</title><script type="module">${script}</script>`;
  await writeFile(join(folder, "index.html"), html);
  await writeFile(join(folder, "elsewhere.html"), "<!doctype html><title>elsewhere</title>");
  server = await startGoServer(folder);
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  name = randomUUID();
  other = await open();
  page = await open();
  return async () => {
    await page.context().close();
    await other.context().close();
  };
});

function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu"],
    // As people have it.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  });
}

async function open(by = browser): Promise<Page> {
  const page = await (await by.newContext()).newPage();
  await visit(page, "/");
  return page;
}

async function visit(page: Page, path: string): Promise<void> {
  await page.goto(server.url + path);
  await holds(page, `client.state === "open"`);
}

/**
 * Waits longer than a silent peer is believed to live: what was on its way when the network went is
 * a sign of life, after which the page finds out no sooner.
 */
async function holds(page: Page, condition: string): Promise<void> {
  await page.waitForFunction(condition, undefined, { timeout: 90_000 });
}

/** Has the page listen to a story of so many parts. */
async function listen(parts: number): Promise<void> {
  await page.evaluate(`void (globalThis.listened = listen(${JSON.stringify(name)}, ${parts}))`);
}

/** What the page's calls were answered with, once it has heard the story. */
function listened(): Promise<{ diary: string; called: string; echoes: number[] }> {
  return page.evaluate("listened");
}

/** Has more parts of the page's story told, whatever has become of its connection. */
async function goOn(times: number): Promise<void> {
  await other.evaluate(`client.call("/go-on", ${JSON.stringify({ name, times })})`);
}

/** Has the server lose the page's socket. */
async function cutOff(): Promise<void> {
  await other.evaluate(`client.call("/cut-off", ${JSON.stringify(name)})`);
}

function below(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

const heard = (): Promise<number> => page.evaluate<number>("parts.length");

/** Has calls and notifies of the page leave when they can, in the middle of a cut. */
async function ask(): Promise<void> {
  await page.evaluate(
    `for (let i = 0; i < 10; i++) echoes.push(client.call("/echo", parts.length))`,
  );
}

/** Takes the network from the page, has 50 parts told meanwhile, and gives it back. */
async function beOffline(): Promise<void> {
  const before = await heard();
  await page.context().setOffline(true);
  await goOn(50);
  await ask();
  await holds(page, `events.at(-1) === "paused"`);
  // Chromium lets nothing through on open sockets, and the page finds out.
  expect(await heard()).toBe(before);
  await page.context().setOffline(false);
}

/** Has the server lose the socket, and 50 parts told meanwhile. */
async function beCut(): Promise<void> {
  await Promise.all([cutOff(), goOn(50), ask()]);
}

it(
  "an answer is exact across lost networks and dead sockets",
  async () => {
    await listen(PARTS);
    let cuts = 0;
    for (const _ of below(ROUNDS)) {
      for (const interrupt of [beOffline, beCut, beOffline, beCut, beOffline]) {
        await goOn(50);
        await holds(page, `parts.length === ${100 * cuts + 50}`);
        await interrupt();
        cuts++;
        await holds(page, `events.length === ${2 * cuts} && parts.length === ${100 * cuts}`);
      }
    }
    const { diary, called, echoes } = await listened();
    const numbers = below(PARTS);
    expect(await page.evaluate(`parts.join("")`)).toBe(numbers.map((i) => `część ${i}\n`).join(""));
    expect(await page.evaluate("told")).toEqual(numbers);
    expect(diary).toBe(numbers.join(" "));
    expect(called).toBe("at last");
    const asked = below(cuts).flatMap((cut) => below(10).map(() => 100 * cut + 50));
    const sorted = (all: number[]) => all.sort((a, b) => a - b);
    expect(sorted(echoes)).toEqual(sorted([...numbers, ...asked]));
    expect(await page.evaluate("events")).toEqual(below(cuts).flatMap(() => ["paused", "resumed"]));
    console.log(
      `FIGURE browser_parts=${PARTS} offline=${3 * ROUNDS} dead_sockets=${2 * ROUNDS} lost=0 doubled=0`,
    );
  },
  ROUNDS * 60_000,
);

it.each(["memory", "tab"])(
  "the back-forward cache gives a page back that goes on: %s",
  async (session) => {
    await visit(page, `/?session=${session}`);
    await listen(30);
    await goOn(10);
    await holds(page, "parts.length === 10");
    await page.goto(`${server.url}/elsewhere.html`);
    await goOn(10);
    await page.goBack({ waitUntil: "commit" });
    await holds(page, "globalThis.parts?.length === 20");
    expect(await page.evaluate("events")).toEqual(["paused", "frozen", "resumed"]);
    expect(await page.evaluate("sessionStorage.length")).toBe(0);
    await goOn(10);
    const { diary, called } = await listened();
    expect(diary).toBe(below(30).join(" "));
    expect(called).toBe("at last");
  },
);

it("a browser that slept while its connection died goes on", async () => {
  const sleeper = await launch();
  onTestFinished(() => sleeper.close());
  page = await open(sleeper);
  await listen(30);
  await goOn(10);
  await holds(page, "parts.length === 10");
  const devtools = await sleeper.newBrowserCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  const signal = (name: NodeJS.Signals) => {
    for (const { id } of processInfo) process.kill(id, name);
  };
  signal("SIGSTOP");
  try {
    await cutOff();
    await goOn(10);
  } finally {
    signal("SIGCONT");
  }
  await holds(page, "parts.length === 20");
  expect(await page.evaluate("events")).toEqual(["paused", "resumed"]);
  await goOn(10);
  expect((await listened()).diary).toBe(below(30).join(" "));
});
