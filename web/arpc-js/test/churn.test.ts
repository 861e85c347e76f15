/** A tenth of `bench/churn.mjs`: clients that were closed leave nothing behind. */

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { expect, it, onTestFinished } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

it("1,000 clients: heap and handles are where they were", { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "arpc-churn-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const bundle = join(folder, "arpc.mjs");
  const entryPoints = [join(root, "src/index.ts")];
  await build({ entryPoints, bundle: true, format: "esm", target: "es2022", outfile: bundle });
  const script = join(root, "bench/churn.mjs");
  // It fails, and so does this, when something stayed.
  const { stdout } = await promisify(execFile)("node", ["--expose-gc", script, "1000", bundle]);
  expect(stdout).toContain("FIGURE churn_cycles=1000 ");
});
