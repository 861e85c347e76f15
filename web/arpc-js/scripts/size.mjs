// What the package costs a page: everything it exports, bundled, minified, gzip -9. Above the
// budget the build fails.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BUDGET = 9216;

const { outputFiles } = await build({
  stdin: {
    contents: 'export * from "arpc-js";',
    resolveDir: fileURLToPath(new URL("..", import.meta.url)),
  },
  bundle: true,
  minify: true,
  format: "esm",
  write: false,
  logLevel: "warning",
});
const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(`FIGURE arpc_js_gzip_bytes=${size} budget=${BUDGET}`);
if (size > BUDGET) {
  console.error(`arpc-js is ${size - BUDGET} bytes over its budget`);
  process.exitCode = 1;
}
