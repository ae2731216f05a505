import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { armNames } from "./arms.ts";
import { curriculum } from "./curriculum.ts";

const model = resolve(import.meta.dirname, "../../test/fixtures/models/llama");

test("every arm spends the budget, and finished runs are not run again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-curriculum-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  vi.stubEnv("TUNESMITH_FIXTURES", undefined);
  const printed = vi.spyOn(console, "log").mockReturnValue();
  const options = { folder, model, threads: 1, budget: 2000 };
  // Every third run of five arms and three seeds.
  const first = await curriculum({ ...options, part: "1/3" });
  const { runs, before } = first;
  expect(runs.map(({ arm }) => arm).sort()).toEqual([...armNames].sort());
  expect(runs.map(({ seed }) => seed)).toEqual([1, 1, 2, 2, 3]);
  for (const { points, exact } of runs) {
    expect(points).toHaveLength(4);
    expect(points.at(-1)?.tokens).toBeGreaterThanOrEqual(2000);
    expect(points.at(-1)?.tokens).toBeLessThan(2512);
    expect(exact?.map(({ rows }) => rows)).toEqual([10, 10, 10, 10, 10, 10]);
  }
  const lines = printed.mock.calls.length;
  expect(await curriculum({ ...options, part: "1/3" })).toMatchObject({ runs, before });
  // Why GSM8K is left out, and the tables.
  expect(printed.mock.calls.length - lines).toBe(2);
  expect((await curriculum({ ...options, part: "0/1" })).runs).toEqual(runs);
  // Elsewhere, from the result alone; one of other settings is no help.
  const from = join(folder, "result.json");
  writeFileSync(from, JSON.stringify(first));
  const elsewhere = { ...options, folder: join(folder, "elsewhere"), from, part: "0/1" };
  expect(await curriculum(elsewhere)).toMatchObject({ runs, before });
  expect((await curriculum({ ...elsewhere, budget: 2001 })).runs).toEqual([]);
  await expect(curriculum({ ...options, part: "3/2" })).rejects.toThrow("expected --part K/N");
});
