import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { tunesmith } from "../testing/tunesmith.ts";

const model = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));

/** A file of rows, and what trains on it for one step. */
async function training(rows: readonly object[]) {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-data-options-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const data = join(folder, "rows.jsonl");
  await writeFile(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const run = join(folder, "run");
  const train = (...more: string[]) =>
    tunesmith(["train", "--model", model, "--data", data, "--output-dir", run, "--max-steps", "1", ...more]);
  return { train, folder, run };
}

test("the format, what is not read and what is skipped are said before training", async () => {
  const rows = Array.from({ length: 6 }, (_, n) => ({ task: `row ${n}`, answer: "well done", id: n }));
  const { train, folder, run } = await training([...rows, { task: 7, answer: "" }]);
  const columns = ["--columns", "instruction=task,output=answer"];
  const refused = await train(...columns);
  expect(refused.code).toBe(3);
  expect(refused.err).toMatch(/rows.jsonl:7: expected a string in column "instruction", got a number/u);
  const { code, out } = await train(...columns, "--on-bad-row", "skip");
  expect(code).toBe(0);
  expect(out).toMatch(/data {3}.*rows.jsonl: 6 rows \(alpaca\), .*, 1 skipped, not read: id\n/u);
  expect(out).toMatch(/rows.jsonl: 1 row cannot be used and is skipped:\n? *.*rows.jsonl:7: expected a string/u);
  expect(out.indexOf("(alpaca)")).toBeLessThan(out.indexOf("step 1/1"));
  // The file of the run says the same, and takes the same rows.
  const config = join(run, "config.resolved.yaml");
  expect(await readFile(config, "utf8")).toContain("columns:\n  instruction: task\n  output: answer\n");
  const again = await tunesmith(["train", "--config", config, "--output-dir", join(folder, "again")]);
  expect([again.code, again.out.match(/hash \w+/u)?.[0]]).toEqual([0, out.match(/hash \w+/u)?.[0]]);
});

test("rows for another trainer are refused with what to do", async () => {
  const { train } = await training([{ prompt: "a", chosen: "b", rejected: "c" }]);
  const refused = await train();
  expect([refused.code, refused.err]).toEqual([
    3,
    expect.stringMatching(/DataError: .*rows.jsonl:1: .*"preference".*DPO.*columns: \{ completion: "chosen" \}/u),
  ]);
  expect((await train("--columns", "completion=chosen")).out).toMatch(/\(prompt-completion\).*not read: rejected\n/u);
});

test("a mix in YAML is trained on, and a share of it evaluates", async () => {
  const { folder } = await training([]);
  const [chat, raw] = [join(folder, "chat.csv"), join(folder, "raw.jsonl")];
  await writeFile(chat, `prompt,completion\n${"a,b\n".repeat(20)}`);
  await writeFile(raw, Array.from({ length: 20 }, (_, n) => `{"text":"words ${n}"}\n`).join(""));
  const config = join(folder, "run.yaml");
  const entries = JSON.stringify([
    { path: chat, weight: 3 },
    { path: raw, weight: 1 },
  ]);
  await writeFile(config, `model: ${model}\ndata: ${entries}\ntest_size: 0.2\nmax_steps: 1\n`);
  const { code, out } = await tunesmith(["train", "--config", config, "--output-dir", join(folder, "run")]);
  expect(code).toBe(0);
  expect(out).toMatch(/data {3}mix of .*chat.csv, .*raw.jsonl \(train\): \d+ rows \(prompt-completion, text\)/u);
  expect(out).toMatch(/raw.jsonl \(test\)/u);
  const flags = ["--model", model, "--data", entries, "--max-steps", "1", "--test-size", "0.2"];
  const again = await tunesmith(["train", ...flags, "--output-dir", join(folder, "again")]);
  expect([again.code, again.out.match(/hash \w+/u)?.[0]]).toEqual([0, out.match(/hash \w+/u)?.[0]]);
  const resumed = await tunesmith([
    "train",
    "--config",
    join(folder, "run/config.resolved.yaml"),
    "--output-dir",
    join(folder, "third"),
  ]);
  expect(resumed.out.match(/hash \w+/u)?.[0]).toBe(out.match(/hash \w+/u)?.[0]);
});
