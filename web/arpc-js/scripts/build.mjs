// Builds the ESM entries (with their names and lines: the user's bundler minifies) and dist/arpc.js
// (one file for <script>, global `arpc`). The declarations are tsc's.
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { entries } from "./entries.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
// Members of objects that no user and no platform sees: each costs a page a letter. A name that is
// also one of the public API or of the protocol's JSON must not be here.
const internal = `
  abandon agreed agreedCaps answered apply ask asked attach awayFor badFrame begin behind bits
  bound buffered busy bytes changed closed coding conn cursor deadline deliver dial disconnected dispatch
  drained emit emitter ended expire finish flush forget frame fromBody giveUp grant greet hangUp
  heardEnd helloAnswer hurry inward isBound isHeld isReading isReady isUnasked jobs joined journal
  head held keeps knows lastSeq leave leaveIfDone leaving left lose lost maxBytes maxCalls mayFallBack memory
  obstacle open opened outside outward options over parts pipe probe progress put quit receive renew
  recode report request rest resume roster run running say seek settings settle side survives
  suspend sync tail take tap tell toPayload transmit unanswered unread url waiting
`;
const common = {
  mangleProps: new RegExp(`^(${internal.trim().replaceAll(/\s+/g, "|")})$`),

  absWorkingDir: root,
  bundle: true,
  target: "es2022",
  sourcemap: true,
  logLevel: "warning",
};

// Pieces and declarations of sources that are gone must not be packed.
await rm(new URL("../dist", import.meta.url), { recursive: true, force: true });

// What entries share is in pieces of its own, so that they share its classes too. Constants are
// inlined here, where they are known to be some: in a bundle of a bundle they no longer are, which
// costs a page 140 bytes.
await build({
  ...common,
  entryPoints: Object.fromEntries(
    Object.entries(entries).map(([name, { source }]) => [name, source]),
  ),
  outdir: "dist",
  chunkNames: "shared-[hash]",
  format: "esm",
  splitting: true,
  minifySyntax: true,
  external: ["react"],
});
await build({
  ...common,
  entryPoints: [entries.index.source],
  outfile: "dist/arpc.js",
  format: "iife",
  globalName: "arpc",
  minify: true,
});
