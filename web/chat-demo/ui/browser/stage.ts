/** What every browser test stands on: the shipped binary, the built page, real Chromium. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { launchChromium } from "./chromium.ts";
import { type Binary, buildDemo, type Demo, startDemo } from "./demo.ts";

/** The stage of the test that runs. */
export interface Stage {
  readonly browser: Browser;
  readonly binary: Binary;
  /** A fresh demo for each test. */
  readonly demo: Demo;
  /** Kills the demo with no farewell and starts it again at its place, on its data, with other flags if there are any. */
  restart(...flags: string[]): Promise<void>;
}

/** Sets the stage for the tests of a file; the flags are the demo's. */
export function setStage(...flags: string[]): Stage {
  let data = "";
  const start = (port: number, others: readonly string[]) =>
    startDemo(stage.binary, port, "-data", data, ...flags, ...others);
  const stage = {
    async restart(...others: string[]) {
      await stage.demo.end("SIGKILL");
      stage.demo = await start(stage.demo.port, others);
    },
  } as { -readonly [K in keyof Stage]: Stage[K] };

  beforeAll(async () => {
    [stage.binary, stage.browser] = await Promise.all([buildDemo(), launchChromium()]);
  });

  afterAll(async () => {
    await stage.browser?.close();
    await stage.binary?.remove();
  });

  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), "chat-data-"));
    stage.demo = await start(0, []);
  });

  afterEach(async () => {
    await Promise.all(stage.browser.contexts().map((context) => context.close()));
    await stage.demo?.end("SIGKILL");
    await rm(data, { recursive: true });
  });

  return stage;
}
