import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Starts the Go server of the tests; resolves with its port and with what ends it. */
export async function serve() {
  const folder = mkdtempSync(join(tmpdir(), "arpc-js-bench-"));
  const program = join(folder, "serve");
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  execFileSync("go", ["build", "-o", program, "./internal/scenarios/serve"], { cwd: root });
  const child = spawn(program, [folder], { stdio: ["pipe", "pipe", "inherit"] });
  const [address] = await once(createInterface(child.stdout), "line");
  const stop = async () => {
    child.stdin.end();
    await once(child, "exit");
    rmSync(folder, { recursive: true });
  };
  return { port: new URL(address).port, stop };
}
