/** What every browser test stands on: the shipped binary, the built page, real Chromium. */

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
  /** Kills the demo with no farewell and starts it again at its place, with other flags if there are any. */
  restart(...flags: string[]): Promise<void>;
}

/** Sets the stage for the tests of a file; the flags are the demo's. */
export function setStage(...flags: string[]): Stage {
  const stage = {
    async restart(...others: string[]) {
      await stage.demo.end("SIGKILL");
      stage.demo = await startDemo(stage.binary, stage.demo.port, ...flags, ...others);
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
    stage.demo = await startDemo(stage.binary, 0, ...flags);
  });

  afterEach(async () => {
    await Promise.all(stage.browser.contexts().map((context) => context.close()));
    await stage.demo?.end("SIGKILL");
  });

  return stage;
}
