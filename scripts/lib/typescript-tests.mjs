// Runs vitest and counts its tests.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, red, runNode } from "./shell.mjs";

/** @typedef {import("./rust-tests.mjs").Counts} Counts */
/** @typedef {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   testResults: { status: string, assertionResults: { status: string }[] }[] }} Report */

/** Sums vitest's JSON report. A file that fails to load holds no failed test, and counts as one. */
export function countReport(/** @type {Report} */ report) {
  const broken = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  ).length;
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/**
 * @param {string[]} filters test file filters
 * @returns {Promise<Counts>}
 */
export async function typescriptTests(filters = []) {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-test-"));
  const reportFile = join(folder, "report.json");
  try {
    const args = ["run", ...filters, "--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
    const { code } = await runNode(bin.vitest, args, { inherit: true });
    if (!existsSync(reportFile)) {
      console.log(`${red("✗")} vitest did not run to its end`);
      return { passed: 0, failed: 1, skipped: 0 };
    }
    const counts = countReport(JSON.parse(readFileSync(reportFile, "utf8")));
    // An error outside any test (an unhandled rejection) fails vitest without failing a test.
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
