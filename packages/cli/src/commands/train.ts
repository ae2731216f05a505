// `tunesmith train`: trains with the options of flags and file.
import {
  nearestName,
  OptionError,
  type ParsedLoraConfig,
  type ParsedModelConfig,
  type ParsedSFTConfig,
  SFTTrainer,
  sortOptions,
} from "@tunesmith/sdk";
import { stringify } from "yaml";
import { readConfigFile } from "../config-file.ts";
import { trainingSchemas } from "../flags.ts";
import { environmentLine } from "../view/environment-line.ts";
import type { Output } from "../view/screen.ts";
import { openModel } from "./load-model.ts";
import { runTraining } from "./run-session.ts";

/** Streams of a command. */
export interface Streams {
  out: Output;
  err: Output;
}

/** What `tunesmith train` was asked for, flags over file. */
interface TrainRequest {
  model: string;
  data: string;
  evalData: string | null;
  device: "cuda" | "cpu" | "auto";
  threads: number | undefined;
  args: ParsedSFTConfig;
  peftConfig: ParsedLoraConfig;
  modelConfig: ParsedModelConfig;
}

/** `tunesmith train`. Gives the exit code. */
export async function train(flags: Record<string, unknown>, { out, err }: Streams): Promise<number> {
  const { config, json = false, dryRun = false, ...given } = flags;
  const file = config === undefined ? {} : await readConfigFile(config as string);
  const request = readRequest({ ...file, ...given });
  const { model: name, data, evalData, device, threads, args, peftConfig, modelConfig } = request;
  (json === true ? err : out).write(`${environmentLine({ device, threads })}\n`);
  const place = { device, ...(threads === undefined ? {} : { threads }) };
  const model = await openModel(name, err, { ...place, ...modelConfig });
  const trainer = new SFTTrainer({ model, trainDataset: data, evalDataset: evalData, args, peftConfig });
  if (dryRun !== true) return runTraining(trainer, model, { json: json === true, out, err });
  const { args: decided, totalSteps, warnings, ...found } = await trainer.dryRun();
  const options = { model: model.info.path, data, evalData, ...modelConfig, ...decided, ...peftConfig };
  out.write(stringify({ options, model: model.info, totalSteps, ...found, warnings }));
  return 0;
}

/** Sorts options by whom they concern, and checks those that no schema knows. */
function readRequest({
  model,
  data,
  evalData = null,
  device = "auto",
  threads,
  ...options
}: Record<string, unknown>): TrainRequest {
  // Wrong values are reported before a model is looked for.
  const sorted = sortOptions(trainingSchemas, options, "tunesmith train");
  return {
    model: text("--model", model, "a model's path or ORG/NAME"),
    data: text("--data", data, "a JSONL or JSON file"),
    evalData: evalData === null ? null : text("--eval-data", evalData, "a JSONL or JSON file"),
    device: parseDevice(device),
    threads: parseThreads(threads),
    ...sorted,
  };
}

function text(flag: string, value: unknown, what: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new OptionError(
    `[${flag}] expected ${what}, got ${value === undefined ? "nothing" : JSON.stringify(value)}; give ${flag} or put it into the --config file`,
  );
}

/** Checks `--device`. */
export function parseDevice(value: unknown): "cuda" | "cpu" | "auto" {
  if (value === "cuda" || value === "cpu" || value === "auto") return value;
  const nearest = nearestName(String(value), ["cuda", "cpu", "auto"]);
  throw new OptionError(
    `[--device] expected cuda, cpu or auto, got ${JSON.stringify(value)}; ${nearest === null ? "leave it out for the best there is" : `did you mean ${nearest}?`}`,
  );
}

/** Checks `--threads`. */
export function parseThreads(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const threads = Number(value);
  if (Number.isInteger(threads) && threads > 0) return threads;
  throw new OptionError(
    `[--threads] expected a number of CPU threads, got ${JSON.stringify(value)}; leave it out for all physical cores`,
  );
}
