import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// `unit` reads the sources and needs nothing but Node. `package` packs and installs the package
// first and tries that: with compilers, in other runtimes and in Chromium, against the Go server.
// `react-18` runs the tests of the hooks with the oldest React they are for; `unit` with ours.
const oldest = fileURLToPath(new URL("test/runtimes/node_modules", import.meta.url));

export default defineConfig({
  test: {
    restoreMocks: true,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/package/**", "test/runtimes/**"],
          // Some install or hash much on a busy machine.
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        resolve: { alias: { react: `${oldest}/react`, "react-dom": `${oldest}/react-dom` } },
        test: {
          name: "react-18",
          include: ["test/react/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: "package",
          include: ["test/package/*.test.ts", "test/runtimes/*.test.ts"],
          globalSetup: ["test/package/install.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
