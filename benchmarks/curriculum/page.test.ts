import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { armNames } from "./arms.ts";
import { curriculumPage } from "./page.ts";
import { type RunResult, settings } from "./run.ts";

/** Three seeds of every arm; the later the arm, the lower its loss, by more than the seeds are apart. */
const runs: RunResult[] = armNames.flatMap((arm, n) =>
  [1, 2, 3].map((seed) => ({
    ...{ set: "running totals", arm, seed, seconds: 1, exact: [{ operations: 1, rows: 10, exact: 5 }] },
    points: [1, 2].map((step) => ({ tokens: 20_000 * step, step, evalLoss: 2 - step / 4 - n / 10 + seed / 1000 })),
  })),
);

function pageOf(some: RunResult[]) {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-page-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "curriculum.json");
  const result = {
    ...{ benchmark: "curriculum", settings, seeds: [1, 2, 3], runs: some },
    machine: { cpu: "a CPU", cores: 2, date: "2026-01-02T03:04:05Z" },
    sets: [{ name: "running totals", rows: 8, heldOut: 4 }],
    before: { "running totals": { evalLoss: 3, exact: [{ operations: 1, rows: 10, exact: 1 }] } },
  };
  writeFileSync(path, JSON.stringify(result));
  return curriculumPage(path);
}

test("there is no page without a result", () => {
  expect(curriculumPage(join(tmpdir(), "no-such-folder", "curriculum.json"))).toEqual([]);
});

test("the page says of every arm what its runs say", () => {
  const [page] = pageOf(runs);
  expect(page?.name).toBe("curriculum.md");
  expect(page?.text).not.toContain("Not all runs are in");
  expect(page?.text).toContain("Before training: eval loss 3.000, exact answers 10 %.");
  for (const arm of armNames.slice(1)) expect(page?.text).toContain(`${arm} better than random, beyond the spread`);
  expect(page?.text).toContain("exact answers: longest answers not told apart from random");
  expect(page?.text).toContain("in one of 10 comparisons");
});

test("a page of some of the runs says so, and concludes nothing of arms that lack seeds", () => {
  const [page] = pageOf(runs.filter(({ seed }) => seed === 1));
  expect(page?.text).toContain("**Not all runs are in: 5 of 15.**");
  expect(page?.text).toContain("loss-based 1 of 3 seeds are in");
  expect(page?.text).not.toContain("beyond the spread;");
});

test("a set without a finished run has neither table nor chart", () => {
  const [page, ...charts] = pageOf([]);
  expect(charts).toEqual([]);
  expect(page?.text).toContain("No run is finished yet.");
  expect(page?.text).not.toContain("NaN");
});

test("the chart has a line and a band for every arm, lower where the loss is lower, inside the picture", () => {
  const chart = pageOf(runs)[1];
  expect(chart?.name).toBe("curriculum-running-totals.svg");
  const lines = [...(chart?.text ?? "").matchAll(/<polyline points="([^"]+)"/gu)];
  const ends = lines.map(([, points = ""]) => Number(points.split(",").at(-1)));
  expect(ends).toEqual([...ends].sort((a, b) => a - b));
  expect(new Set(ends).size).toBe(armNames.length);
  for (const end of ends) expect(end > 14 && end < 260).toBe(true);
  expect(chart?.text.match(/<polygon /gu)).toHaveLength(armNames.length);
  for (const arm of armNames) expect(chart?.text).toContain(`>${arm}</text>`);
});
