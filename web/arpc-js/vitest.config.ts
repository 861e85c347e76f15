import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    restoreMocks: true,
    // The pack test installs a package and runs the compiler.
    testTimeout: 20_000,
  },
});
