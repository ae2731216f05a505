// `npm run bench -- self-instruct`: what Self-Instruct yields with SmolLM2 and with a recorded generator, and a model trained on the rows.
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  type FastLanguageModel,
  type SelfInstructOptions,
  type SelfInstructReport,
  SFTTrainer,
  selfInstruct as selfInstructFrom,
} from "@tunesmith/sdk";
import { openQuickstartModel } from "../../examples/quickstart/quickstart-model.ts";
import { recordedGenerator } from "../../packages/synth/src/testing/recorded.ts";
import { machine } from "../machine.ts";
import { yieldTable } from "./yield-table.ts";

/** Rows below which the recorded generator makes some as well. */
const enough = 50;

/** What a generator made. */
export interface Yield {
  generator: string;
  report: Omit<SelfInstructReport, "files">;
}

/** Where the seeds and the model are, how many instructions the model is asked for, and a folder from which an interrupted run goes on. */
interface Settings {
  model: string | undefined;
  instructions: number;
  folder: string | undefined;
  task: string;
}

/** Makes rows with SmolLM2 and, where they are few, with the recording; then trains on those that are enough. */
export async function selfInstruct({
  model: given,
  instructions,
  folder: kept,
  task,
}: Settings): Promise<Record<string, unknown>> {
  const fixtures = process.env.TUNESMITH_FIXTURES;
  if (fixtures === undefined)
    throw new Error(
      "[bench self-instruct] expected TUNESMITH_FIXTURES with data/self-instruct-seed-tasks.jsonl, got none",
    );
  const seeds = resolve(fixtures, "data/self-instruct-seed-tasks.jsonl");
  const folder = kept ?? mkdtempSync(join(tmpdir(), "tunesmith-self-instruct-"));
  mkdirSync(folder, { recursive: true });
  const where = machine();
  await using model = await openQuickstartModel(given, console.log);
  const options = { seeds, includeSeeds: false, numInstructions: instructions };
  const runs: [name: string, output: string, SelfInstructOptions][] = [
    ["SmolLM2-135M-Instruct", "smollm2.jsonl", { ...options, generate: model }],
    [
      "recorded",
      "recorded.jsonl",
      { ...options, numInstructions: 40, maxIdleRequests: 60, generate: recordedGenerator },
    ],
  ];
  const yields: Yield[] = [];
  let trained: Record<string, unknown> | null = null;
  for (const [generator, file, run] of runs) {
    const output = join(folder, file);
    const { files: _, ...report } = await toEnd({ ...run, output });
    yields.push({ generator, report });
    if (report.rows.generated < enough) continue;
    trained = { rows_of: generator, ...(await trainOn(output, model, join(folder, "runs"))) };
    break;
  }
  console.log(yieldTable(yields));
  console.log(JSON.stringify(trained));
  return {
    benchmark: "self-instruct",
    machine: where,
    task,
    seeds: "the 175 tasks of Self-Instruct",
    yields,
    training: trained,
  };
}

async function toEnd(options: SelfInstructOptions): Promise<SelfInstructReport> {
  let report: SelfInstructReport | null = null;
  for await (const event of selfInstructFrom(options)) {
    if (event.type === "request") console.log(`${event.step}  ${event.requests} requests, ${event.kept} kept`);
    if (event.type === "done") report = event.report;
  }
  if (report === null) throw new Error("[bench self-instruct] expected a report, got none");
  return report;
}

/** A short LoRA run; gives the loss on held-out rows before and after. */
async function trainOn(rows: string, model: FastLanguageModel, folder: string): Promise<Record<string, unknown>> {
  const losses: number[] = [];
  const args = {
    outputDir: folder,
    testSize: 0.15,
    numTrainEpochs: 2,
    perDeviceTrainBatchSize: 4,
    learningRate: 5e-4,
    warmupSteps: 2,
    evalOnStart: true,
    evalStrategy: "epoch" as const,
  };
  const trainer = new SFTTrainer({ model: model.getPeftModel({ r: 8, loraAlpha: 16 }), trainDataset: rows, args });
  let steps = 0;
  for await (const event of trainer.train()) {
    if (event.type === "eval") losses.push(event.evalLoss);
    if (event.type === "step") steps = event.step;
    if (event.type === "step") console.log(`step ${event.step}  loss ${event.loss.toFixed(3)}`);
  }
  return { method: "LoRA, r 8", epochs: args.numTrainEpochs, steps, eval_losses: losses };
}
