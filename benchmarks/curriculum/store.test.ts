import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { RunStore } from "./store.ts";

test("a result is found again by its name and by what decides it, and by nothing else", () => {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-store-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  new RunStore(folder, { rate: 1 }).put("gsm8k random seed 1", [1.5]);
  expect(new RunStore(folder, { rate: 1 }).get("gsm8k random seed 1")).toEqual([1.5]);
  expect(new RunStore(folder, { rate: 1 }).get("gsm8k random seed 2")).toBeNull();
  expect(new RunStore(folder, { rate: 2 }).get("gsm8k random seed 1")).toBeNull();
});
