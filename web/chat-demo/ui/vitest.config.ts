import { defineConfig } from "vitest/config";

// `unit` needs nothing but Node. `browser` drives the built demo in Chromium;
// `screenshot` does too, and writes the pictures of the README.
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"] } },
      {
        test: {
          name: "browser",
          include: ["browser/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "screenshot",
          include: ["browser/**/*.shot.ts"],
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
