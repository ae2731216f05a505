// Runs vitest and counts its tests.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { bin, red, root, runNode } from "./shell.mjs";
import { note } from "./times.mjs";

/** @typedef {import("./rust-tests.mjs").Counts} Counts */
/** @typedef {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   testResults: { name: string, startTime: number, endTime: number, status: string, assertionResults: { status: string }[] }[] }} Report */

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
    // The rules of the architecture are in `npm run check`, and here where they are asked for.
    const projects = filters.length > 0 ? [] : ["packages", "whole"].flatMap((name) => ["--project", name]);
    const args = [
      "run",
      ...projects,
      ...filters,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${reportFile}`,
    ];
    const { code } = await runNode(bin.vitest, args, { inherit: true });
    if (!existsSync(reportFile)) {
      console.log(`${red("✗")} vitest did not run to its end`);
      return { passed: 0, failed: 1, skipped: 0 };
    }
    /** @type {Report} */
    const report = JSON.parse(readFileSync(reportFile, "utf8"));
    // Files of packages/ run side by side: their times add up to more than the suite takes.
    for (const { name, startTime, endTime } of report.testResults) {
      note("TypeScript", relative(root, name), endTime - startTime);
    }
    const counts = countReport(report);
    // An error outside any test (an unhandled rejection) fails vitest without failing a test.
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
