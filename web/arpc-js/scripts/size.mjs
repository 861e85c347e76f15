// What each entry costs a page: everything it exports, bundled, minified, gzip -9. Above a budget
// it fails. React is the page's own; what `arpc-js/react` shares with `arpc-js` counts for both.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { entries } from "./entries.mjs";

for (const [name, { budget }] of Object.entries(entries)) {
  const specifier = name === "index" ? "arpc-js" : `arpc-js/${name}`;
  const { outputFiles } = await build({
    stdin: {
      contents: `export * from "${specifier}";`,
      resolveDir: fileURLToPath(new URL("..", import.meta.url)),
    },
    bundle: true,
    minify: true,
    format: "esm",
    external: ["react"],
    write: false,
    // What is shared by entries is imported for its own sake too, which it says it has none of.
    logLevel: "error",
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  const figure = specifier.replace(/\W/g, "_");
  console.log(`FIGURE ${figure}_gzip_bytes=${size} budget=${budget}`);
  if (size > budget) {
    console.error(`${specifier} is ${size - budget} bytes over its budget`);
    process.exitCode = 1;
  }
}
