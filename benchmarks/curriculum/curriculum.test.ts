import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { armNames } from "./arms.ts";
import { curriculum } from "./curriculum.ts";

const model = resolve(import.meta.dirname, "../../test/fixtures/models/llama");

test("every arm spends the budget with every seed, and finished runs are not run again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-curriculum-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  vi.stubEnv("TUNESMITH_FIXTURES", undefined);
  const printed = vi.spyOn(console, "log").mockReturnValue();
  const options = { folder, model, threads: 1, budget: 2000 };
  const { runs } = await curriculum({ ...options, part: "2/2" });
  expect(runs).toHaveLength(7);
  const whole = await curriculum(options);
  expect(whole.runs.map(({ arm, seed }) => `${arm} ${seed}`)).toEqual(
    [1, 2, 3].flatMap((seed) => armNames.map((arm) => `${arm} ${seed}`)),
  );
  for (const { points, exact } of whole.runs) {
    expect(points).toHaveLength(4);
    expect(points.at(-1)?.tokens).toBeGreaterThanOrEqual(2000);
    expect(points.at(-1)?.tokens).toBeLessThan(2512);
    expect(exact?.map(({ rows }) => rows)).toEqual([10, 10, 10, 10, 10, 10]);
  }
  const lines = printed.mock.calls.length;
  expect(await curriculum(options)).toMatchObject({ runs: whole.runs, before: whole.before });
  // Why GSM8K is left out, and the tables.
  expect(printed.mock.calls.length - lines).toBe(2);
});
