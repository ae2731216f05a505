import { defineConfig } from "vitest/config";

// Tests run on sources: a package name means its src/index.ts, so no stale dist/ can hide a change. Only the native binding
// is a build product.
const alias = [
  { find: /^@tunesmith\/(\w+)$/, replacement: `${import.meta.dirname}/packages/$1/src/index.ts` },
  { find: /^tunesmith$/, replacement: `${import.meta.dirname}/packages/cli/src/index.ts` },
];

export default defineConfig({
  resolve: { alias },
  test: {
    // An addon and its threads belong to one process: forks, never worker threads.
    pool: "forks",
    projects: [
      { extends: true, test: { name: "packages", include: ["packages/*/src/**/*.test.ts"] } },
      {
        extends: true,
        test: { name: "architecture", include: ["{test/architecture,scripts}/**/*.test.ts"], testTimeout: 60_000 },
      },
      {
        extends: true,
        test: {
          name: "whole",
          include: [
            "test/{nightly,goldens,reports,invariants,workflows,install,faults,documents}/**/*.test.ts",
            "test/peers/*.test.ts",
            "{benchmarks,examples}/**/*.test.ts",
          ],
          exclude: ["**/dist/**"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // The engine uses every core already; two files at once would only share them.
          fileParallelism: false,
        },
      },
    ],
  },
});
