import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import type { Outcome } from "./outcome.ts";
import { findSmollm2 } from "./smollm2-path.ts";
import { typescriptCases } from "./typescript-cases.ts";

const own = resolve(import.meta.dirname, "../fixtures");
const large = process.env.TUNESMITH_FIXTURES;

async function check(root: string): Promise<void> {
  const outcomes: Outcome[] = [];
  for await (const outcome of typescriptCases(root, findSmollm2())) outcomes.push(outcome);
  const count = (verdict: Outcome["verdict"]) => outcomes.filter((outcome) => outcome.verdict === verdict).length;
  console.log(`goldens: ${count("passed")} passed, ${count("failed")} failed, ${count("unsupported")} unsupported`);
  expect(outcomes.filter(({ verdict }) => verdict === "failed")).toEqual([]);
  expect(count("passed")).toBeGreaterThan(0);
}

describe("goldens", { timeout: 600_000 }, () => {
  test("of the project's own set", () => check(own));
  test.runIf(large)("of TUNESMITH_FIXTURES", () => check(join(large as string)));
});
