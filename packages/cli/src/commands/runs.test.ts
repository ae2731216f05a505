import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { tunesmith } from "../testing/tunesmith.ts";

const model = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-runs-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A run that was stopped after three steps, without a checkpoint. */
async function stoppedRun(name: string, options = "learningRate: 0.001\nr: 8\n"): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  await writeFile(join(path, "config.resolved.yaml"), `model: tiny\noutputDir: ${path}\n${options}`);
  const lines = [3, 2, 1].map((loss, n) =>
    JSON.stringify({ step: n + 1, loss, learning_rate: 1e-3, grad_norm: 1, num_tokens: 10 * (n + 1) }),
  );
  await writeFile(join(path, "metrics.jsonl"), `${lines.join("\n")}\n`);
  return path;
}

/** A run of four steps to its end. */
async function finishedRun(name: string, ...flags: string[]): Promise<string> {
  const data = join(folder, "rows.jsonl");
  const rows = ["one", "two", "three", "four"].map((word) => ({ prompt: `Say ${word}.`, completion: ` ${word}` }));
  await writeFile(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const path = join(folder, name);
  const usual = [
    "--max-steps",
    "4",
    "--per-device-train-batch-size",
    "2",
    "--eval-data",
    data,
    "--eval-on-start",
    "--use-cpu",
  ];
  const { code, err } = await tunesmith([
    "train",
    "--model",
    model,
    "--data",
    data,
    "--output-dir",
    path,
    ...usual,
    ...flags,
  ]);
  expect(err, err).not.toContain("Error");
  expect(code).toBe(0);
  return path;
}

test("list shows each run, how far it is, and whether it can be resumed", async () => {
  await stoppedRun("b");
  await finishedRun("a");
  await mkdir(join(folder, "other"));
  await mkdir(join(folder, "broken"));
  await writeFile(join(folder, "broken/config.resolved.yaml"), "a: [\n");
  const { code, out, err } = await tunesmith(["runs", "list", folder]);
  expect(code).toBe(0);
  const lines = out.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^run +state +steps +loss +last +eval +resumable$/u);
  expect(lines[1]).toMatch(/^a +finished +4 steps +[▁-█]{4} +\S+ +\S+ +from step 4$/u);
  expect(lines[2]).toMatch(/^b +stopped or running +3 steps +█▅▁ +1 +no$/u);
  expect(lines).toHaveLength(3);
  expect(err).toMatch(/^warning: \[.*broken\/config\.resolved\.yaml\] expected the options of a run/u);
  const json = await tunesmith(["runs", "list", folder, "--json"]);
  const [first, second] = json.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(first).toMatchObject({ name: "a", finished: true, step: 4, resumable: 4, stoppedBy: "max_steps", health: [] });
  expect(first.bestStep).toBe(4);
  expect(second).toMatchObject({ name: "b", finished: false, step: 3, resumable: null, loss: 1, tokens: 30 });
  await rm(join(folder, "a/checkpoint-4/adapter_model.safetensors"));
  expect((await tunesmith(["runs", "list", folder])).out).toMatch(/^a .* no$/mu);
  expect((await tunesmith(["runs", "list", join(folder, "other")])).out).toMatch(/^no runs in /u);
  expect((await tunesmith(["runs", "list", join(folder, "none")])).err).toContain("expected a folder of runs");
});

test("compare names the options that differ, and shows figures and curves of both", async () => {
  const [one, two] = [
    await stoppedRun("one"),
    await stoppedRun("two\u001b[31m", "learningRate: 0.01\nr: 8\nseed: 2\n"),
  ];
  const html = join(folder, "compared.html");
  const { code, out } = await tunesmith(["runs", "compare", one, two, "--html", html]);
  expect(code).toBe(0);
  expect(out).not.toContain("\u001b");
  expect(out).toMatch(/^loss +█▅▁ +█▅▁$/mu);
  expect(out).toMatch(/^options that differ:\nlearningRate +0\.001 +0\.01\nseed +null +2$/mu);
  const page = await readFile(html, "utf8");
  expect(page.match(/<polyline /gu)).toHaveLength(4);
  expect(page).toContain("<tr><th>learningRate<td>0.001<td>0.01");
  const { options, runs } = JSON.parse((await tunesmith(["runs", "compare", one, two, "--json"])).out);
  expect(options).toEqual({ learningRate: [0.001, 0.01], seed: [null, 2] });
  expect(runs.map(({ step }: { step: number }) => step)).toEqual([3, 3]);
  const same = await tunesmith(["runs", "compare", one, one]);
  expect(same.out).toContain("no option differs");
  const few = await tunesmith(["runs", "compare", one]);
  expect([few.code, few.err]).toEqual([2, expect.stringContaining("expected two run folders or more, got 1")]);
});
