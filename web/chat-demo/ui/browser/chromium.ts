/** The system's Chromium, without what talks to anything but the page. */

import { accessSync, constants } from "node:fs";
import process from "node:process";
import { type Browser, chromium } from "playwright-core";

/** Starts Chromium: the one CHROMIUM names, else where Debian puts it. */
export function launchChromium(): Promise<Browser> {
  const { CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
  try {
    accessSync(executablePath, constants.X_OK);
  } catch {
    throw new Error(
      `there is no Chromium at ${executablePath}; install it with ` +
        "`apt-get update && apt-get install -y chromium`, or set CHROMIUM to its path",
    );
  }
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
