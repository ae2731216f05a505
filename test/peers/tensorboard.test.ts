// TensorBoard's own reader finds in the event files of a run what metrics.jsonl has, also after a stop and a resume.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FastLanguageModel, SFTTrainer } from "@tunesmith/sdk";
import { expect, test } from "vitest";
import { fixtures, temporaryFolder } from "../support/runs.ts";
import { runProcess } from "./support/process.ts";

const peers = process.env.TUNESMITH_PEER_ENV;

test.skipIf(peers === undefined)(
  "TensorBoard reads every number of a run that was resumed",
  { timeout: 120_000 },
  async () => {
    const outputDir = join(temporaryFolder(), "run");
    const rows = ["one", "two", "three", "four"].map((word) => ({ prompt: `Say ${word}.`, completion: ` ${word}` }));
    const model = await FastLanguageModel.fromPretrained(join(fixtures, "models/llama"), { device: "cpu" });
    const trainer = new SFTTrainer({
      model: model.getPeftModel({ r: 4 }),
      trainDataset: rows,
      evalDataset: rows.slice(0, 2),
      args: { outputDir, maxSteps: 6, perDeviceTrainBatchSize: 2, evalSteps: 2, saveSteps: 2, reportTo: "tensorboard" },
    });
    const stop = new AbortController();
    const run = trainer.train({ signal: stop.signal });
    await expect(async () => {
      for await (const event of run) if (event.type === "step" && event.step === 3) stop.abort();
    }).rejects.toThrow("after step 3");
    await trainer.train({ resumeFromCheckpoint: true });
    const script = join(import.meta.dirname, "read_events.py");
    const read = JSON.parse(await runProcess(join(peers ?? "", "bin/python"), [script, join(outputDir, "runs")]));
    const lines = readFileSync(join(outputDir, "metrics.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const written: Record<string, [number, number][]> = {};
    for (const { step, ...metrics } of lines) {
      for (const [name, value] of Object.entries(metrics as Record<string, number>)) {
        const tag = name.startsWith("eval_") ? `eval/${name.slice(5)}` : `train/${name}`;
        // Scalars are float32.
        written[tag] = [...(written[tag] ?? []), [step, Math.fround(value)]];
      }
    }
    expect(Object.keys(read).sort()).toEqual(Object.keys(written).sort());
    expect(read["train/loss"]).toHaveLength(6);
    expect(read["eval/loss"]).toHaveLength(3);
    for (const [tag, values] of Object.entries(written)) expect(read[tag], tag).toEqual(values);
  },
);
