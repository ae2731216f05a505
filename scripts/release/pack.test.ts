import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readRelease, withdrawRelease } from "./pack.ts";

test("a release that is withdrawn cannot be published", () => {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-pack-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "release.json"), "[]");
  expect(readRelease(folder)).toEqual([]);
  withdrawRelease(folder);
  expect(() => readRelease(folder)).toThrow(
    /expected release\.json, got none; make it with `npm run release -- pack`/u,
  );
  withdrawRelease(folder);
});
