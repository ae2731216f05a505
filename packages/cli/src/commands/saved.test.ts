import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { whatIsSaved } from "./saved.ts";

test("what is saved is what the folder holds now, those of an earlier start included", () => {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  expect(whatIsSaved(null)).toBe("nothing has been saved");
  expect(whatIsSaved(folder)).toBe("nothing has been saved");
  expect(whatIsSaved(join(folder, "not there"))).toBe("nothing has been saved");
  for (const name of ["checkpoint-9", "checkpoint-10", ".checkpoint-11.tmp"]) mkdirSync(join(folder, name));
  expect(whatIsSaved(folder)).toBe(
    `the newest checkpoint is ${join(folder, "checkpoint-10")}; continue with: tunesmith resume ${folder}`,
  );
});
