// Small models, rows and finished runs for tests.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { LoraConfig, SFTConfig } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import { type LogEvent, type SFTMetrics, SFTTrainer, type TrainResult } from "@tunesmith/trainer";
import { onTestFinished } from "vitest";
import { conversations } from "./rows.ts";
import { readSafetensors } from "./safetensors.ts";

/** The project's own fixtures. */
export const fixtures = resolve(import.meta.dirname, "../fixtures");

/** Folder of a small model of the given family. */
export function smallModel(modelType: string): string {
  const models = join(fixtures, "models");
  const found = readdirSync(models).find(
    (name) => JSON.parse(readFileSync(join(models, name, "config.json"), "utf8")).model_type === modelType,
  );
  if (found === undefined) throw new Error(`expected a ${modelType} model below ${models}`);
  return join(models, found);
}

/** A folder that goes away with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What a run has left in its folder. */
export interface Finished {
  logs: LogEvent<SFTMetrics>[];
  result: TrainResult;
  adapter: Buffer;
  tensors: Map<string, Float32Array>;
}

/** Trains and collects. */
export async function trainOnce(
  model: string,
  args: SFTConfig,
  {
    threads = 0,
    rows = conversations(24),
    resume = false,
    peftConfig = { r: 4 },
  }: {
    threads?: number;
    rows?: readonly Record<string, unknown>[];
    resume?: boolean | string;
    peftConfig?: LoraConfig;
  } = {},
): Promise<Finished> {
  const outputDir = args.outputDir ?? join(temporaryFolder(), "run");
  const language = await loadModel(model, threads === 0 ? {} : { threads });
  const options: SFTConfig = { learningRate: 5e-3, trainSamplingStrategy: "sequential", ...args, outputDir };
  const trainer = new SFTTrainer({ model: language, trainDataset: rows as never, args: options, peftConfig });
  const logs: LogEvent<SFTMetrics>[] = [];
  const run = trainer.train({ resumeFromCheckpoint: resume });
  for await (const event of run) if (event.type === "log") logs.push(event);
  const result = await run;
  const path = join(result.adapterDir, "adapter_model.safetensors");
  return { logs, result, adapter: readFileSync(path), tensors: readSafetensors(path) };
}
