// The tables of docs/recipes.md are the presets, and the file of a sweep there is one.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { presetNamed, presetNames } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { tunesmith } from "../../packages/cli/src/testing/tunesmith.ts";

const page = () => readFile(fileURLToPath(new URL("../../docs/recipes.md", import.meta.url)), "utf8");

test("the tables of presets have each value with its source", async () => {
  const sections = (await page()).split(/^### /mu).slice(1);
  expect(sections.map((section) => section.split("\n")[0])).toEqual(presetNames);
  for (const [n, name] of presetNames.entries()) {
    const rows = [...(sections[n] ?? "").matchAll(/^\| `(\w+)` \| `(.+)` \| (.+) \|$/gmu)].map(([, ...cells]) => cells);
    const values = presetNamed(name).values(null);
    expect(rows).toEqual(values.map(({ option, value, source }) => [option, JSON.stringify(value), source]));
  }
});

test("the sweep of the page has six arms", async () => {
  const [, file = ""] = /^```yaml\n(.*?)^```/msu.exec(await page()) ?? [];
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-recipes-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "sweep.yaml"), file);
  const { code, out } = await tunesmith(["sweep", join(folder, "sweep.yaml"), "--dry-run"]);
  expect([
    code,
    out
      .split("\n")
      .filter((line) => line.includes("arm-"))
      .at(-1),
  ]).toEqual([0, "         arm-06  learningRate 0.01  r 16  loraAlpha 32"]);
});
