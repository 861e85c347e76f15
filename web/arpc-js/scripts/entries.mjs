// What the package exports, for who builds and for who measures it: by name in `exports`, the
// source and the budget in bytes (bundled alone, minified, gzip -9).
export const entries = {
  index: { source: "src/index.ts", budget: 15_616 },
  core: { source: "src/core.ts", budget: 7_744 },
  react: { source: "src/react/index.ts", budget: 2_560 },
  gzip: { source: "src/gzip.ts", budget: 800 },
  aead: { source: "src/aead.ts", budget: 900 },
  testing: { source: "src/testing.ts", budget: 17_000 },
  trace: { source: "src/trace.ts", budget: 800 },
};
