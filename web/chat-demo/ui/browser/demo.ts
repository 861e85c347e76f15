/** The demo's binary as a child process, built from the sources as they are. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const source = fileURLToPath(new URL("../..", import.meta.url));

/** A built binary; `remove` deletes it. */
export interface Binary {
  readonly path: string;
  remove(): Promise<void>;
}

/** Builds the demo into a temporary folder. */
export async function buildDemo(): Promise<Binary> {
  const folder = await mkdtemp(join(tmpdir(), "chat-demo-"));
  const path = join(folder, "chat-demo");
  await promisify(execFile)("go", ["build", "-o", path, "."], { cwd: source });
  return { path, remove: () => rm(folder, { recursive: true }) };
}

/** A running demo. */
export interface Demo {
  /** Where its page is. */
  readonly url: string;
  readonly port: number;
  /** Ends it with a signal; resolves when it is gone, or was gone before. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Starts the demo; resolves when it listens. Port 0 takes a free one. */
export async function startDemo(binary: Binary, port = 0, ...flags: string[]): Promise<Demo> {
  const args = ["-http", `localhost:${port}`, "-tcp", "localhost:0", ...flags];
  const child = spawn(binary.path, args, { stdio: ["ignore", "pipe", "inherit"] });
  const url = await printedUrl(child);
  return {
    url,
    port: Number(new URL(url).port),
    async end(signal) {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, "exit");
        child.kill(signal);
        await exited;
      }
    },
  };
}

async function printedUrl(child: ChildProcess): Promise<string> {
  if (child.stdout === null) {
    throw new Error("the demo has no output to read");
  }
  for await (const line of createInterface(child.stdout)) {
    const [, url] = /^arpc chat demo: (http:\S+)$/.exec(line) ?? [];
    if (url !== undefined) {
      child.stdout.resume();
      return url;
    }
  }
  throw new Error("the demo ended before it said where it listens");
}
