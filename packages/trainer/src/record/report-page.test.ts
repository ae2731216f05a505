import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, FileSystemError } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { ofType, record } from "../testing/record.ts";
import { scratchFolder } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";
import { curveChart } from "./curves.ts";
import { curveOf, reportPage } from "./report-page.ts";
import { readRun } from "./run-record.ts";

const evaluated = { evalSteps: 3, evalOnStart: true, sampleOnEval: true, learningRate: 0.02 };

/** What stands in the cells of the row that begins with a name. */
const cell = (page: string, name: string) => page.match(new RegExp(`<tr><th>${name}<td>(.*)`, "u"))?.[1];

test("a run leaves a page of its figures, findings, curves, answers, data and options that needs no other file", async () => {
  const { trainer: made, outputDir } = await trainer(evaluated);
  const { result } = ofType((await record(made.train())).events, "done")[0] as {
    result: Awaited<ReturnType<typeof made.train>>;
  };
  const page = await readFile(join(outputDir, "report.html"), "utf8");
  expect(page).not.toMatch(/<script|<link|src=|href=|url\(|@import/u);
  expect(cell(page, "steps")).toBe("6, 2 epochs; ended by epochs");
  const [before, after] = [result.evalBefore?.evalLoss ?? 0, result.evalAfter?.evalLoss ?? 0];
  const digits = (value: number) => String(Number(value.toPrecision(4)));
  expect(cell(page, "eval loss")).toBe(`${digits(before)} before → ${digits(after)} after`);
  expect(cell(page, "perplexity")).toBe(`${digits(Math.exp(before))} before → ${digits(Math.exp(after))} after`);
  expect(cell(page, "best")).toBe(`eval_loss ${digits(result.best?.value ?? 0)} at step ${result.best?.step}`);
  const { estimatedBytes: said, metrics } = result;
  const took = (metrics.enginePeakBytes / 1024).toFixed(1);
  const share = ((100 * metrics.enginePeakBytes) / said).toFixed(1);
  expect(cell(page, "memory estimate")).toBe(
    `${said} B estimated, ${took} KiB held by the engine at its peak (${share} % of the estimate)`,
  );
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect(report.estimatedAfterStep).toBe(2);
  const ofTime = ((100 * report.seconds) / report.estimatedSeconds).toFixed(1);
  expect(cell(page, "time estimate")).toMatch(/^0:\d\d estimated after step 2 \(it took \d+\.\d % of the estimate\)$/u);
  expect(cell(page, "time estimate")).toContain(`took ${ofTime} %`);
  expect(cell(page, "adapter")).toBe(`${(result.adapterBytes / 1024).toFixed(1)} KiB`);
  expect(cell(page, "loss hash")).toBe(result.lossHash.slice(0, 12));
  expect(page).toContain('<th class="warning">learning-rate<td>step 0<td>');
  expect(page.match(/<svg /gu)).toHaveLength(3);
  // A point of each logged step and evaluation.
  expect(page.match(/<circle /gu)).toHaveLength(6 + 3 + 6 + 6);
  expect(page).toContain("<tr><th>prompt<th>wanted<th>before<th>step 3<th>step 6");
  const first = ofType((await record(made.train({ resumeFromCheckpoint: true }))).events, "sample");
  expect(first).toEqual([]);
  expect(page).toMatch(/<tr><td><pre>say abc0<\/pre><td><pre>xyz<\/pre><td><pre>.*<\/pre><td><pre>.*<\/pre><td><pre>/u);
  expect(cell(page, "trained on")).toBe("trainDataset (messages)");
  expect(cell(page, "learningRate")).toBe("0.02");
});

test("a run that has not ended is read as far as it is", async () => {
  const { trainer: made, outputDir } = await trainer({ evalStrategy: "no" });
  await made.train();
  const folder = await scratchFolder(onTestFinished);
  await writeFile(join(folder, "config.resolved.yaml"), "model: a <b>\nmaxSteps: 6\n");
  const lines = (await readFile(join(outputDir, "metrics.jsonl"), "utf8")).split("\n");
  await writeFile(
    join(folder, "metrics.jsonl"),
    `${lines.slice(0, 2).join("\n")}\nnot json\n{"step":"x"}\n${lines[2]?.slice(0, 20)}`,
  );
  const found = await readRun(folder);
  expect(found.logs.map(({ step }) => step)).toEqual([1, 2]);
  expect(found).toMatchObject({ report: null, samples: [], evaluations: [] });
  const page = reportPage(found);
  expect(cell(page, "state")).toBe("not finished, 2 steps logged");
  expect(cell(page, "model")).toBe("a &lt;b&gt;");
});

test("what is no run is refused by name", async () => {
  const folder = await scratchFolder(onTestFinished);
  await expect(readRun(folder)).rejects.toThrow(FileSystemError);
  await expect(readRun(folder)).rejects.toThrow(
    `[${join(folder, "config.resolved.yaml")}] expected the options of a run`,
  );
  for (const text of ["- a\n", "a: [\n", "text"]) {
    await writeFile(join(folder, "config.resolved.yaml"), text);
    await expect(readRun(folder)).rejects.toThrow(CheckpointError);
  }
  await writeFile(join(folder, "config.resolved.yaml"), "model: a\n");
  for (const text of ["", "[]", "{}", '{"steps":"x"}', "null"]) {
    await writeFile(join(folder, "report.json"), text);
    expect((await readRun(folder)).report).toBeNull();
  }
  await writeFile(join(folder, "report.json"), '{"steps":3}');
  expect(reportPage(await readRun(folder))).toContain("<tr><th>steps<td>3\n");
});

test("a chart has axes of round numbers over its curves, and as many places as can be seen", () => {
  const chart = curveChart("loss", [
    {
      name: "a",
      points: [
        [1, 0.4],
        [2, Number.NaN],
        [3, 1.3],
      ],
    },
    { name: "<b>", points: [[1, 2]] },
  ]);
  expect([...chart.matchAll(/text-anchor="end">([\d.]+)</gu)].map(([, text]) => text)).toEqual([
    "0.5",
    "1",
    "1.5",
    "2",
  ]);
  expect([...chart.matchAll(/points="([^"]*)"/gu)].map(([, text]) => text?.split(" ").length)).toEqual([2, 1]);
  expect(chart).toContain("&lt;b&gt;");
  expect(curveChart("loss", [{ name: "a", points: [[1, Number.NaN]] }])).toBe("");
  const flat = curveChart("rate", [
    {
      name: "a",
      points: [
        [1, 2e-4],
        [2, 2e-4],
      ],
    },
  ]);
  expect(flat).not.toMatch(/NaN|Infinity/u);
  const long = curveChart("loss", [{ name: "a", points: Array.from({ length: 5000 }, (_, n) => [n, n] as const) }]);
  expect(long.match(/points="([^"]*)"/u)?.[1]?.split(" ")).toHaveLength(400);
  expect(
    curveOf(
      [
        { step: 1, loss: 2 },
        { step: 2, loss: null },
      ],
      "loss",
    ),
  ).toEqual([[1, 2]]);
});
