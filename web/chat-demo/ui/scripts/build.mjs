// Bundles the page into dist/, from where the Go binary embeds it. Beside it
// goes arpc.js, the one-file build of arpc-js for pages without a bundler.

import { copyFile, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ui = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(ui, "dist");
const arpc = join(ui, "../../arpc-js/dist");
const figtree = dirname(
  createRequire(import.meta.url).resolve("@fontsource-variable/figtree/package.json"),
);

const copies = [
  [join(ui, "index.html"), "index.html"],
  [join(ui, "src/icon.svg"), "icon.svg"],
  [join(figtree, "files/figtree-latin-wght-normal.woff2"), "figtree-latin.woff2"],
  [join(figtree, "files/figtree-latin-ext-wght-normal.woff2"), "figtree-latin-ext.woff2"],
  [join(figtree, "LICENSE"), "figtree-license.txt"],
  [join(arpc, "arpc.js"), "arpc.js"],
  [join(arpc, "arpc.js.map"), "arpc.js.map"],
];

const { outputFiles } = await build({
  entryPoints: {
    app: join(ui, "src/main.ts"),
    early: join(ui, "src/early.ts"),
    style: join(ui, "src/style.css"),
  },
  outdir: dist,
  bundle: true,
  format: "esm",
  target: "es2024",
  minify: true,
  sourcemap: "linked",
  // Fonts are served beside the style sheet, under the names copied above.
  external: ["/*.woff2"],
  logLevel: "warning",
  // What entries of arpc-js share is imported for its own sake too, which it says it has none of.
  logOverride: { "ignored-bare-import": "silent" },
  write: false,
});

await clear(dist);
for (const { path, contents } of outputFiles) {
  await writeFile(path, contents);
}
for (const [from, name] of copies) {
  await copyFile(from, join(dist, name));
}

// Everything but the placeholder that keeps the folder in a clean clone.
async function clear(folder) {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (name !== ".gitignore") {
      await rm(join(folder, name), { recursive: true });
    }
  }
}
