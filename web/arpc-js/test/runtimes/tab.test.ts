/** A session in a tab of Chromium: over a reload, offline, and in a tab that is duplicated. */

import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { type GoServer, startGoServer } from "./server.ts";

const { CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;

let folder = "";
let server: GoServer;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "arpc-js-tab-"));
  await cp(join(inject("project"), "node_modules/arpc-js/dist"), join(folder, "arpc-js"), {
    recursive: true,
  });
  // What happened is told by the title, so that a test can wait for it.
  const script = `
    import { connect } from "/arpc-js/index.js";
    const said = [];
    const say = (text) => { said.push(text); document.title = said.join(); };
    const client = connect("/ws", { session: "tab" });
    for (const event of ["paused", "resumed", "lost"]) client.on(event, () => say(event));
    client.on("orphan", ({ method, body }) => say(method + " " + body));
    client.on("state", (state) => state === "open" && say(state));
    Object.assign(globalThis, { client, say });
    if (location.search === "?two") {
      const other = connect("/ws", { session: "tab" });
      other.on("resumed", () => say("other resumed"));
      other.on("orphan", ({ method, body }) => say("other " + method + " " + body));
      other.on("state", (state) => state === "open" && say("other open"));
      Object.assign(globalThis, { other });
    }`;
  const html = `<!doctype html><title>none</title><script type="module">${script}</script>`;
  await writeFile(join(folder, "index.html"), html);
  server = await startGoServer(folder);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function open(search = ""): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${server.url}/${search}`);
  await says(page, "open");
  return page;
}

/** Waits longer than a silent peer is believed to live, after which a page finds out. */
async function says(page: Page, text: string): Promise<void> {
  const condition = `document.title.split(",").includes(${JSON.stringify(text)})`;
  await page.waitForFunction(condition, undefined, { timeout: 90_000 });
}

it("a reload keeps it: the answer to the old page's call comes to the new one", async () => {
  const page = await open();
  await page.evaluate(`client.notify("/note", "old"); void client.call("/notes", 2);`);
  await page.reload();
  await says(page, "resumed");
  expect(await page.evaluate("sessionStorage.length")).toBe(0);
  await page.evaluate(`client.notify("/note", "new")`);
  await says(page, "/notes old new");
  expect(await page.evaluate(`client.call("/echo", "still")`)).toBe("still");
  await page.context().close();
});

it("two clients of one URL find their own sessions", async () => {
  const page = await open("?two");
  await says(page, "other open");
  await page.evaluate(`client.notify("/note", "old"); void client.call("/notes", 2);`);
  await page.evaluate(`other.notify("/note", "theirs"); void other.call("/notes", 2);`);
  await page.reload();
  await says(page, "resumed");
  await says(page, "other resumed");
  expect(await page.evaluate("sessionStorage.length")).toBe(0);
  await page.evaluate(`client.notify("/note", "new"); other.notify("/note", "too");`);
  await says(page, "/notes old new");
  await says(page, "other /notes theirs too");
  await page.context().close();
});

it("a page that is offline goes on when it is back", { timeout: 120_000 }, async () => {
  const page = await open();
  const call = page.evaluate(`client.call("/notes", 2, { timeout: 0 })`);
  await page.evaluate(`client.notify("/note", "before")`);
  await page.context().setOffline(true);
  // Chromium leaves open sockets be: the page finds out by itself.
  await says(page, "paused");
  await page.context().setOffline(false);
  await says(page, "resumed");
  await page.evaluate(`client.notify("/note", "after")`);
  expect(await call).toBe("before after");
  await page.context().close();
});

it("a duplicated tab has one of its own", async () => {
  const page = await open();
  const [copy] = await Promise.all([
    page.context().waitForEvent("page"),
    page.evaluate(`void window.open(location.href)`),
  ]);
  await says(copy, "open");
  expect(await copy.title()).toBe("open");
  expect(await page.evaluate(`client.call("/echo", 1)`)).toBe(1);
  expect(await page.title()).toBe("open");
  await page.context().close();
});
