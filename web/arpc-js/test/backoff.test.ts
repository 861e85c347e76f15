import { describe, expect, it } from "vitest";
import { createBackoff } from "../src/backoff.ts";

describe("backoff", () => {
  it("doubles up to its cap", () => {
    const backoff = createBackoff({ min: 100, max: 1000, random: () => 1 });
    const waits = Array.from({ length: 6 }, () => backoff(0));
    expect(waits).toEqual([100, 200, 400, 800, 1000, 1000]);
  });

  it("jitters over the whole range", () => {
    const randoms = [0, 0.5, 0.999];
    const backoff = createBackoff({ min: 100, max: 100, random: () => randoms.shift() ?? 0 });
    expect([backoff(0), backoff(0), backoff(0)]).toEqual([0, 50, 99.9]);
  });

  it("stays finite after any number of attempts", () => {
    const backoff = createBackoff({ random: () => 1 });
    for (let attempt = 0; attempt < 5000; attempt++) expect(backoff(0)).toBeLessThanOrEqual(20_000);
  });

  it("takes a connection for stable after 10 s", () => {
    const backoff = createBackoff({ min: 100, random: () => 1 });
    const delays = [0, 9_999, 10_000].map((uptime) => backoff(uptime));
    expect(delays).toEqual([100, 200, 100]);
  });

  it("starts over after a stable connection only", () => {
    const backoff = createBackoff({ min: 100, stable: 5000, random: () => 1 });
    expect([backoff(0), backoff(4999), backoff(5000)]).toEqual([100, 200, 100]);
  });
});
