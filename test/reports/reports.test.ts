import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const runner = join(process.env.TUNESMITH_FIXTURES ?? "", "reports/run.mjs");
/** Of all cases the one that compares two times is left out; renderings are counted where turns are searched. */
const chosen = "^(?!api/long-conversation-grows-linearly)";

interface Summary {
  cases: { id: string; control: boolean }[];
  failed: string[];
}

// They run on what is built, as a user's own programs and command lines do.
test.skipIf(!existsSync(runner))(
  "what users of other trainers report is right here",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "tunesmith-reports-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const summary = join(folder, "summary.json");
    const { stdout } = spawnSync(process.execPath, [runner, root, "", chosen], {
      encoding: "utf8",
      env: { ...process.env, JOBS: "2", SUMMARY: summary },
    });
    const { cases, failed } = JSON.parse(readFileSync(summary, "utf8")) as Summary;
    console.log(`reports: ${cases.length - failed.length} passed, ${failed.length} failed`);
    expect(failed, stdout).toEqual([]);
    expect(cases.filter(({ control }) => !control).length).toBeGreaterThan(0);
  },
  1_200_000,
);
