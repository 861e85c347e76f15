import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { inject } from "vitest";

/** A running Go server: topics, the routes of the scenarios, and the files in a folder. */
export interface GoServer {
  /** Its page, without a slash at the end. */
  readonly url: string;
  /** Its WebSocket. */
  readonly ws: string;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

/** Starts the server of the scenarios on a free port. It ends with this process at the latest. */
export async function startGoServer(folder: string): Promise<GoServer> {
  const child = spawn(inject("server"), [folder], { stdio: ["pipe", "pipe", "inherit"] });
  const url = await firstLine(child);
  return {
    url,
    ws: `${url.replace("http", "ws")}/ws`,
    async stop() {
      const exited = once(child, "exit");
      child.stdin?.end();
      await exited;
    },
  };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout) for await (const line of createInterface(stdout)) return line;
  throw new Error("the server ended before it said where it listens");
}
