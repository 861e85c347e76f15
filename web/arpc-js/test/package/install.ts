/**
 * Packs the package, installs it in an empty project, and builds the Go server of the scenarios:
 * once for all tests of this project, which get the paths by `inject`.
 */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

const run = promisify(execFile);
const { resolve } = createRequire(import.meta.url);
const root = fileURLToPath(new URL("../..", import.meta.url));

declare module "vitest" {
  interface ProvidedContext {
    /** The folder of a project in which the package is installed, with React and `ws`. */
    project: string;
    /** The files of the package, sorted. */
    files: string[];
    /** The package, packed. */
    tarball: string;
    /** The program of internal/scenarios/serve. */
    server: string;
  }
}

export async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const project = await mkdtemp(join(tmpdir(), "arpc-js-package-"));
  const server = join(project, "serve");
  await run("go", ["build", "-o", server, "./internal/scenarios/serve"], {
    cwd: join(root, "../.."),
  });
  const pack = ["pack", "--json", "--pack-destination", project];
  const { stdout } = await run("npm", pack, { cwd: root });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf("["))) as [
    { filename: string; files: Array<{ path: string }> },
  ];
  await writeFile(join(project, "package.json"), '{"name":"user","private":true,"type":"module"}');
  const install = ["install", "--offline", "--legacy-peer-deps", "--no-audit", "--no-fund"];
  await run("npm", [...install, packed.filename], { cwd: project });
  for (const name of [
    "ws",
    "@types/ws",
    "@types/node",
    "undici-types",
    "react",
    "@types/react",
    "csstype",
  ]) {
    const link = join(project, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(dirname(resolve(`${name}/package.json`)), link);
  }
  provide("project", project);
  provide("files", packed.files.map(({ path }) => path).sort());
  provide("tarball", join(project, packed.filename));
  provide("server", server);
  return () => rm(project, { recursive: true, force: true });
}
