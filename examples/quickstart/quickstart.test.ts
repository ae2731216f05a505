import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs the quickstart in a process of its own. */
async function quickstart(cache: string, ...options: string[]) {
  const program = join(root, "examples/quickstart/quickstart.ts");
  const env = { ...process.env, TUNESMITH_CACHE: cache, TSX_TSCONFIG_PATH: join(root, "tsconfig.json") };
  const argv = ["--import", import.meta.resolve("tsx"), program, ...options];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: cache, env });
  return stripVTControlCharacters(stdout);
}

test("goes from data to a counted result and says how to go on, with a model that is too small for the job", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-quickstart-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const run = join(folder, "run");
  const out = await quickstart(folder, "--model", join(root, "test/fixtures/models/llama"), "--output-dir", run);
  expect(out).toMatch(/exact match {2}before 0\.0 % → after \d+\.\d %/u);
  expect(out).toMatch(/eval {3}loss \S+ before → \S+ after/u);
  expect(out.match(/^message .*\nbase .*\ntuned .*\nexpected .*$/gmu)).toHaveLength(3);
  expect(out).toMatch(/npx tunesmith chat run --system ".*" --prompt ".*"/u);
  expect(await readdir(join(folder, "quickstart-data"))).toEqual(["held-out.jsonl", "train.jsonl"]);
  expect(await readdir(run)).toEqual(expect.arrayContaining(["adapter", "metrics.jsonl", "report.json"]));
});
