import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { spawnCli } from "../testing/spawn-cli.ts";
import { tunesmith } from "../testing/tunesmith.ts";

const tiny = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
let [folder, data] = ["", ""];

beforeEach(async () => {
  folder = await scratchFolder(onTestFinished);
  data = join(folder, "held-out.jsonl");
  const row = (n: number) => ({
    messages: [
      { role: "user", content: `word ${n}?` },
      { role: "assistant", content: "heron" },
    ],
    topic: n % 2 === 0 ? "even" : "odd",
  });
  await writeFile(data, Array.from({ length: 6 }, (_, n) => `${JSON.stringify(row(n))}\n`).join(""));
});

const few = ["--max-new-tokens", "3", "--resamples", "20", "--threads", "1"];

test("a run is measured next to what it began with, as it read its rows, in a table by group and as JSON", async () => {
  const run = join(folder, "run");
  const training = [
    "--model",
    tiny,
    "--data",
    data,
    "--output-dir",
    run,
    "--max-steps",
    "8",
    "--learning-rate",
    "0.02",
  ];
  expect((await tunesmith(["train", ...training, "--max-length", "28", "--threads", "1"])).code).toBe(0);
  const metrics = join(folder, "metrics.mjs");
  await writeFile(metrics, "export const asks = ({ prompt }) => prompt.endsWith('?');\n");
  const output = join(folder, "answers.jsonl");
  const argv = ["eval", run, "--data", data, ...few, "--group-by", "topic", "--metrics", metrics, "--output", output];
  const { code, out } = await tunesmith(argv);
  expect(code).toBe(0);
  expect(out).toMatch(/^ +base +model +difference$/mu);
  expect(out).toMatch(/^loss +[\d.]+ \[[\d.]+, [\d.]+\] +[\d.]+ \[.*\] +-[\d.]+ \[.*\] \*$/mu);
  for (const name of ["perplexity", "tokenAccuracy", "exactMatch", "rougeL", "asks"])
    expect(out.match(new RegExp(`^${name} `, "gmu"))).toHaveLength(3);
  expect(out).toMatch(/^topic: even \(3 rows\)$/mu);
  expect(out).toContain("in brackets: 95.0 % of 20 resamples of the rows; * the difference is on one side of 0");
  // The run cuts rows at 28 tokens, and so does its evaluation.
  expect(out).toContain("6 truncated");
  expect(await readFile(output, "utf8")).toMatch(/^\{"place":".*held-out\.jsonl:1","group":"even"/u);
  const { out: json, err } = await tunesmith([...argv, "--json", "--base", "none", "--max-length", "100"]);
  const found = JSON.parse(json);
  expect(found).toMatchObject({ groupBy: "topic", resamples: 20, overall: { rows: 6 }, data: { truncated: 0 } });
  expect(found.overall.metrics[0]).toMatchObject({ metric: "loss", base: null, difference: null });
  expect(found.rows).toBeUndefined();
  expect(err).toContain("saved ");
}, 60_000);

test("a run of the whole model is compared with the model that it began with", async () => {
  const run = join(folder, "whole");
  const training = ["--model", tiny, "--data", data, "--output-dir", run, "--full-finetuning", "--max-steps", "4"];
  expect((await tunesmith(["train", ...training, "--learning-rate", "0.01", "--threads", "1"])).code).toBe(0);
  const { out } = await tunesmith(["eval", run, "--data", data, ...few, "--no-generate-answers", "--json"]);
  const [loss] = JSON.parse(out).overall.metrics;
  const alone = await tunesmith(["eval", tiny, "--data", data, ...few, "--no-generate-answers", "--json"]);
  expect(loss.base.value).toBe(JSON.parse(alone.out).overall.metrics[0].model.value);
  expect(loss.model.value).toBeLessThan(loss.base.value);
}, 60_000);

test("Ctrl-C keeps the answers so far", async () => {
  const output = join(folder, "answers.jsonl");
  const child = spawnCli([
    "eval",
    tiny,
    "--data",
    data,
    "--output",
    output,
    "--max-new-tokens",
    "450",
    "--threads",
    "1",
  ]);
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (text: Buffer) => {
      printed += text.toString();
      // Rows are scored; their answers take longer.
      if (!child.killed && printed.includes("loss  6/6")) child.kill("SIGINT");
    });
  const [code] = await once(child, "exit");
  expect([code, printed]).toEqual([130, expect.stringContaining("[evaluate] stopped as asked")]);
}, 60_000);

test("wrong flags are named", async () => {
  const module = join(folder, "metrics.mjs");
  await writeFile(module, "export const one = 1;\n");
  const wrong: [string[], string][] = [
    [[], "[--data] expected a file of held-out rows"],
    [["--data", data, "--metrics", module], "[--metrics] expected a module that exports functions"],
    [["--data", data, "--metrics", join(folder, "none.mjs")], "[--metrics] expected a module of JavaScript"],
    [["--data", data, "--base", join(folder, "none")], "expected a model folder"],
    [["--data", data, "--group-by", "subject"], "[groupBy] expected a column of the rows"],
    [["--data", data, "--confidence", "2"], "confidence"],
    [["--data", join(folder, "none.jsonl")], "none.jsonl"],
  ];
  for (const [flags, message] of wrong) {
    const { code, err } = await tunesmith(["eval", tiny, ...flags]);
    expect([code, err]).toEqual([expect.any(Number), expect.stringContaining(message)]);
    expect(code).not.toBe(0);
  }
  expect((await tunesmith(["eval", "--help"])).out).toContain("tunesmith eval runs/first --data held-out.jsonl");
});
