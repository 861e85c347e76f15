/** Importing touches nothing of a runtime: a server that renders pages may do it. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import { expect, inject, it } from "vitest";

/** A realm with what ECMAScript has, in which anything a runtime adds throws when it is read. */
function bareRealm(): { realm: object; touched: string[] } {
  const realm = createContext({});
  const own = new Set(runInContext("Object.getOwnPropertyNames(globalThis)", realm) as string[]);
  const ofPages = ["window", "document", "location", "addEventListener", "WebSocket"];
  const touched: string[] = [];
  for (const name of [...Object.getOwnPropertyNames(globalThis), ...ofPages]) {
    if (own.has(name) || name === "global") continue;
    Object.defineProperty(realm, name, {
      configurable: true,
      get() {
        touched.push(name);
        throw new Error(`${name} was touched`);
      },
    });
  }
  return { realm, touched };
}

it.each([
  ["index", "connect"],
  ["core", "connect"],
  ["react", "useCall"],
  ["gzip", "gzip"],
  ["aead", "aead"],
  ["trace", "trace"],
  ["testing", "pair"],
])("importing %s touches no global", async (entry, known) => {
  const { outputFiles } = await build({
    absWorkingDir: inject("project"),
    entryPoints: [`node_modules/arpc-js/dist/${entry}.js`],
    bundle: true,
    format: "iife",
    globalName: "exported",
    external: ["react"],
    banner: { js: "const require = () => ({});" },
    write: false,
  });
  const { realm, touched } = bareRealm();
  const exported = runInContext(`${outputFiles[0]?.text};exported`, realm) as object;
  expect(touched).toEqual([]);
  expect(Object.keys(exported)).toContain(known);
});

it("a realm of the test catches what touches one", () => {
  const { realm, touched } = bareRealm();
  expect(() => runInContext("globalThis.WebSocket", realm)).toThrow("WebSocket was touched");
  expect(() => runInContext("setTimeout(() => {}, 1)", realm)).toThrow("setTimeout was touched");
  expect(touched).toEqual(["WebSocket", "setTimeout"]);
});

it("the script sets one global, with what is exported, and touches no other", async () => {
  const path = join(inject("project"), "node_modules/arpc-js/dist/arpc.js");
  const { realm, touched } = bareRealm();
  runInContext(await readFile(path, "utf8"), realm);
  const { arpc } = realm as { arpc?: object };
  expect(touched).toEqual([]);
  expect(Object.keys(realm)).toEqual(["arpc"]);
  expect(Object.keys(arpc ?? {}).sort()).toEqual([
    "ArpcError",
    "connect",
    "errorCodes",
    "isArpcError",
  ]);
});
