/** The installed package in Chromium: in a page, in workers, as a script, and in bundles. */

import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build as esbuild } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { build as vite } from "vite";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { expectAllToHold, modules, type Result, tablePath } from "./scenarios.ts";
import { type GoServer, startGoServer } from "./server.ts";

const { CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
const files = [...modules, "page.mjs", "worker.mjs", "coded.mjs", "coded-page.mjs"];

let folder = "";
let server: GoServer;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "arpc-js-page-"));
  const project = inject("project");
  await cp(join(project, "node_modules/arpc-js/dist"), join(folder, "arpc-js"), {
    recursive: true,
  });
  await copyFile(tablePath, join(folder, "table.json"));
  for (const name of files) {
    await copyFile(new URL(name, import.meta.url), join(folder, name));
    await copyFile(new URL(name, import.meta.url), join(project, name));
  }
  const entries = ["gzip", "aead", "trace"].map((name) => [
    `arpc-js/${name}`,
    `/arpc-js/${name}.js`,
  ]);
  const map = JSON.stringify({
    imports: { "arpc-js": "/arpc-js/index.js", ...Object.fromEntries(entries) },
  });
  await page("index.html", `<script type="importmap">${map}</script>`, "page.mjs");
  await page("coded.html", `<script type="importmap">${map}</script>`, "coded-page.mjs");
  await bundleWithEsbuild(project);
  await bundleWithVite(project);
  server = await startGoServer(folder);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

function page(path: string, head: string, module: string): Promise<void> {
  const html = `<!doctype html><title>arpc-js</title>${head}<script type="module" src="/${module}"></script>`;
  return writeFile(join(folder, path), html);
}

async function bundleWithEsbuild(project: string): Promise<void> {
  await esbuild({
    absWorkingDir: project,
    entryPoints: ["page.mjs"],
    outfile: join(folder, "esbuild.js"),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
  });
  await page("esbuild.html", "", "esbuild.js");
}

async function bundleWithVite(project: string): Promise<void> {
  await mkdir(join(project, "vite"), { recursive: true });
  const html = '<!doctype html><script type="module" src="../page.mjs"></script>';
  await writeFile(join(project, "vite/index.html"), html);
  await vite({
    configFile: false,
    logLevel: "error",
    root: join(project, "vite"),
    base: "/vite/",
    build: { outDir: join(folder, "vite"), target: "es2022" },
  });
}

/** The results of a page that plays them by itself. */
async function resultsOf(page: Page): Promise<Result[]> {
  const results = await page.waitForFunction("globalThis.results");
  return (await results.jsonValue()) as Result[];
}

/** The results of what an expression, evaluated in an empty page, resolves with. */
function evaluated(expression: string): (page: Page) => Promise<Result[]> {
  return (page) => page.evaluate<Result[]>(expression);
}

const ways = [
  { name: "a page", path: "/index.html", play: resultsOf },
  { name: "a page, coded", path: "/coded.html", play: resultsOf },
  { name: "a bundle of esbuild", path: "/esbuild.html", play: resultsOf },
  { name: "a bundle of Vite", path: "/vite/index.html", play: resultsOf },
  {
    name: "a worker",
    path: "/table.json",
    play: evaluated(`new Promise((resolve, reject) => {
      const worker = new Worker("/worker.mjs", { type: "module" });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
    })`),
  },
  {
    name: "a shared worker",
    path: "/table.json",
    play: evaluated(`new Promise((resolve, reject) => {
      const worker = new SharedWorker("/worker.mjs", { type: "module" });
      worker.port.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
    })`),
  },
  {
    name: "a script",
    path: "/table.json",
    play: async (page: Page) => {
      await page.addScriptTag({ url: "/arpc-js/arpc.js" });
      return evaluated(`import("/play.mjs").then(async ({ play }) =>
        play(arpc.connect, "/ws", await (await fetch("/table.json")).json()))`)(page);
    },
  },
];

describe.each(ways)("$name", ({ path, play }) => {
  let played: Promise<Result[]> | undefined;

  async function playOnce(): Promise<Result[]> {
    const page = await browser.newPage();
    await page.goto(server.url + path);
    return play(page);
  }

  expectAllToHold(() => (played ??= playOnce()));
});

/** What a page that came from this host hears when it posts to 127.0.0.1. */
async function posted(host: string): Promise<string> {
  const page = await browser.newPage();
  const { port } = new URL(server.url);
  await page.goto(`http://${host}:${port}/table.json`);
  return page.evaluate<string>(`fetch("${server.url}/call/echo", {
    method: "POST",
    credentials: "include",
    headers: { "Content-Type": "application/json", Authorization: "Bearer x", Traceparent: "x" },
    body: '{"count":14}',
  }).then((answer) => answer.text(), (error) => error.name)`);
}

test("a call over HTTP from a page of another origin", async () => {
  expect(await posted("localhost")).toBe('{"count":14}');
  expect(await posted("evil.localhost")).toBe("TypeError");
});
