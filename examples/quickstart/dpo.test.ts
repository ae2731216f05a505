import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { withFigures } from "./dpo-figures.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("goes from pairs to margins, held-out pairs and exact answers, and the page shows what it wrote", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-example-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const env = { ...process.env, HF_DATASETS_CACHE: folder, TSX_TSCONFIG_PATH: join(root, "tsconfig.json") };
  const json = join(folder, "dpo.json");
  const options = [
    "--model",
    join(root, "test/fixtures/models/llama"),
    "--output-dir",
    join(folder, "run"),
    "--json",
    json,
  ];
  const argv = ["--import", import.meta.resolve("tsx"), join(root, "examples/quickstart/dpo.ts"), ...options];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: folder, env });
  const out = stripVTControlCharacters(stdout);
  expect(out).toMatch(/^reference {2}256 training rows, computed before the first step$/mu);
  expect(out).toMatch(/^held-out margin {2}before 0\.00 → after -?\d+\.\d\d$/mu);
  expect(out).toMatch(/^pairs right {6}before 0\.0 % → after \d+\.\d %$/mu);
  expect(out).toMatch(/^exact match {6}before 0\.0 % → after \d+\.\d %$/mu);
  const { after, steps } = JSON.parse(await readFile(json, "utf8"));
  expect(steps).toBe(64);
  const page = withFigures(await readFile(join(root, "docs/dpo.md"), "utf8"), json);
  expect(page).toContain(`| margin of held-out pairs | 0.00 | ${after.margin.toFixed(2)} |`);
});
