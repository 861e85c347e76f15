/** The tarball: what is in it, what tools say of it, and that it runs where it is installed. */

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { expect, inject, it } from "vitest";
import { startServer, topics } from "../helpers/server.ts";

const run = promisify(execFile);
const installed = (path: string): string => join(inject("project"), "node_modules/arpc-js", path);

it("holds the entries, the script, maps and declarations, and nothing else", () => {
  const top = inject("files").filter(
    (path) => !/\.d\.ts$|^dist\/shared-\w{8}\.js(\.map)?$/.test(path),
  );
  expect(top).toEqual([
    "LICENSE",
    "README.md",
    "dist/aead.js",
    "dist/aead.js.map",
    "dist/arpc.js",
    "dist/arpc.js.map",
    "dist/core.js",
    "dist/core.js.map",
    "dist/gzip.js",
    "dist/gzip.js.map",
    "dist/index.js",
    "dist/index.js.map",
    "dist/react.js",
    "dist/react.js.map",
    "dist/testing.js",
    "dist/testing.js.map",
    "dist/trace.js",
    "dist/trace.js.map",
    "package.json",
  ]);
});

it("is what publint recommends", async () => {
  const { messages } = await publint({ pkgDir: installed(""), pack: false, strict: true });
  expect(messages).toEqual([]);
});

it("has the types that are resolved where modules are", async () => {
  const tarball = createPackageFromTarballData(new Uint8Array(await readFile(inject("tarball"))));
  const result = await checkPackage(tarball, { excludeEntrypoints: ["./arpc.js"] });
  if (!result.types) throw new Error("there are no types");
  expect(Object.keys(result.entrypoints).sort()).toEqual([
    ".",
    "./aead",
    "./core",
    "./gzip",
    "./package.json",
    "./react",
    "./testing",
    "./trace",
  ]);
  // It is ESM alone, so what only CommonJS and the resolution before `exports` meet is not asked.
  const isOfModules = (problem: object): boolean =>
    !("resolutionKind" in problem) || /^(node16-esm|bundler)$/.test(String(problem.resolutionKind));
  expect(result.problems.filter(isOfModules)).toEqual([]);
});

it("has no dependency at run time, and wants React only of who uses the hooks", async () => {
  const manifest = JSON.parse(await readFile(installed("package.json"), "utf8")) as object;
  expect(manifest).not.toHaveProperty("dependencies");
  expect(manifest).toMatchObject({
    sideEffects: false,
    peerDependencies: { react: ">=18" },
    peerDependenciesMeta: { react: { optional: true } },
  });
  for (const entry of ["index", "core"]) {
    expect(await readFile(installed(`dist/${entry}.js`), "utf8")).not.toContain('"react"');
  }
});

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
  await writeFile(join(inject("project"), "run.js"), program);
  // Nothing tells the process to exit: it does when no timer, socket or listener holds it.
  const { stdout, stderr } = await run(process.execPath, ["run.js", server.url], {
    cwd: inject("project"),
    timeout: 15_000,
  });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ topic: "news", data: { text: "hi" }, offset: 1 });
});

it("has one class of errors, under its name, in all entries", async () => {
  const program = `
    const [index, core] = await Promise.all([import("arpc-js"), import("arpc-js/core")]);
    console.log(index.ArpcError === core.ArpcError, index.ArpcError.name);
  `;
  await writeFile(join(inject("project"), "one.js"), program);
  const { stdout } = await run(process.execPath, ["one.js"], { cwd: inject("project") });
  expect(stdout.trim()).toBe("true ArpcError");
});
