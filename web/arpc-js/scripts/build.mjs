// Builds dist/index.js (ESM, with its names and lines: the user's bundler minifies) and dist/arpc.js
// (one file for <script>, global `arpc`). The declarations are tsc's.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const common = {
  absWorkingDir: root,
  entryPoints: ["src/index.ts"],
  bundle: true,
  target: "es2022",
  sourcemap: true,
  logLevel: "warning",
};

// Constants are inlined here, where they are known to be some: in a bundle of a bundle they no
// longer are, which costs a page 140 bytes.
await build({ ...common, format: "esm", minifySyntax: true, outfile: "dist/index.js" });
await build({
  ...common,
  format: "iife",
  globalName: "arpc",
  minify: true,
  outfile: "dist/arpc.js",
});
