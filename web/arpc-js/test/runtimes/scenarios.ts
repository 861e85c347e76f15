import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";

/** What was wrong in a scenario; empty if nothing was. */
export interface Result {
  readonly name: string;
  readonly problem: string;
}

/** The table of internal/scenarios. */
export const tablePath: URL = new URL(
  "../../../../internal/scenarios/testdata/table.json",
  import.meta.url,
);

/** The programs that play it. */
export const modules: readonly string[] = ["play.mjs", "topics.mjs", "values.mjs"];

interface Scenario {
  readonly name: string;
  readonly handlers?: Readonly<Record<string, { readonly upper?: boolean }>>;
  readonly steps: ReadonlyArray<{ readonly do: string; readonly topic?: string }>;
}

const table = JSON.parse(await readFile(tablePath, "utf8")) as { scenarios: Scenario[] };
const all = table.scenarios.map(({ name }) => name);

function isBeyondCore({ do: what, topic }: Scenario["steps"][number]): boolean {
  return what === "stream" || what === "session" || topic !== undefined;
}

/** The scenarios that `arpc-js/core` plays. */
export const core: string[] = table.scenarios
  .filter(({ steps }) => !steps.some(isBeyondCore))
  .filter(({ handlers = {} }) => !Object.values(handlers).some(({ upper }) => upper))
  .map(({ name }) => name);

/** A test for each scenario: that it was played, and that nothing was wrong. */
export function expectAllToHold(results: () => Promise<Result[]>, names: string[] = all): void {
  it.each(names)("%s", async (name) => {
    expect((await results()).find((result) => result.name === name)?.problem).toBe("");
  });
}
