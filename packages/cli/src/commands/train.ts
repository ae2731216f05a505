// `tunesmith train` and `tunesmith dpo`: train with the options of flags and file.
import { OptionError, onlyGiven, sortOptions, terminalText } from "@tunesmith/core";
import type { DPOTrainer, SFTTrainer } from "@tunesmith/sdk";
import { environmentLine } from "../view/environment-line.ts";
import type { Output } from "../view/screen.ts";
import { openModel, revisionOf } from "./load-model.ts";
import { openDatasets } from "./open-datasets.ts";
import { tellPreset, withPresetModel } from "./preset.ts";
import type { TrainerKind } from "./trainers.ts";

/** Streams of a command. */
export interface Streams {
  out: Output;
  err: Output;
}

/** The command that starts a trainer. Gives the exit code. */
export async function train(kind: TrainerKind, flags: Record<string, unknown>, streams: Streams): Promise<number> {
  const { config, json = false, dryRun = false, ...given } = flags;
  const file = config === undefined ? {} : await fromFile(kind, config as string);
  const all = { ...file, ...given };
  const start = { json: json === true, dryRun: dryRun === true, place: kind.command };
  return trainWith(kind, all, start, streams);
}

async function fromFile({ schemas, name }: TrainerKind, path: string): Promise<Record<string, unknown>> {
  const { readConfigFile } = await import("../config-file.ts");
  return readConfigFile(path, schemas, name);
}

/** How a run is started. */
interface Start {
  json: boolean;
  dryRun: boolean;
  /** The command, for messages. */
  place: string;
}

/** A trainer of options under their own names, once model and data are open. `tell` gets what runs here, and what a preset says. */
export async function trainerOf<T extends SFTTrainer | DPOTrainer>(
  kind: TrainerKind<T>,
  all: Record<string, unknown>,
  { command, tell }: { command: string; tell: Output },
  err: Output,
) {
  // Wrong values are reported before a model is looked for.
  const {
    inputs,
    place: given,
    args,
    peftConfig: peft,
    modelConfig,
  } = sortOptions(kind.schemas, withPresetModel(all, command), command);
  const place = args.useCpu ? { ...given, device: "cpu" as const } : given;
  // Beside an adapter that is continued, what was given is not the same as a default.
  const peftConfig = onlyGiven(peft, all);
  const name = required("--model", inputs.model, "a model's path or ORG/NAME");
  const data = required("--data", inputs.data, "a file, folder or data set of the Hub");
  const { evalData } = inputs;
  tell.write(`${environmentLine(place)}\n`);
  const model = await openModel(name, err, { ...place, ...modelConfig, ...revisionOf(inputs.modelRevision) });
  tellPreset(all, command, model.info, tell);
  const datasets = await openDatasets(data, evalData, err);
  // What is not given is for --auto to decide.
  const { resumeFromCheckpoint, ...givenArgs } = onlyGiven(args, all);
  const trainer = await kind.create({ model, ...datasets, args: givenArgs, peftConfig });
  const options = resumeFromCheckpoint ? { resumeFromCheckpoint: resumed(resumeFromCheckpoint) } : {};
  return { trainer, model, options, data, evalData, modelConfig };
}

/** Trains with options of any kind under their own names. Gives the exit code. */
export async function trainWith(
  kind: TrainerKind,
  all: Record<string, unknown>,
  { json, dryRun, place: command }: Start,
  { out, err }: Streams,
): Promise<number> {
  const tell = json || dryRun ? err : out;
  const { trainer, model, options, data, evalData, modelConfig } = await trainerOf(kind, all, { command, tell }, err);
  if (!dryRun) return (await import("./run-session.ts")).runTraining(trainer, model, { json, out, err, options });
  const { args: decided, peftConfig: adapter, totalSteps, warnings, ...found } = await trainer.dryRun();
  const { origin, path } = model.info;
  const base = { model: origin?.name ?? path, modelRevision: origin?.revision ?? null };
  const decidedOptions = { ...base, data, evalData, ...modelConfig, ...decided, ...adapter };
  // What the model's files lack is among the warnings.
  const { warnings: _, ...info } = model.info;
  const shown = { options: decidedOptions, model: info, totalSteps, ...found, warnings };
  const { stringify } = await import("yaml");
  // The first of several evaluation sets stands there twice, both times in full.
  out.write(terminalText(stringify(shown, { aliasDuplicateObjects: false })));
  return 0;
}

/** TRL's flag has True for the newest checkpoint as a text too. */
function resumed(given: string | boolean): string | boolean {
  return typeof given === "string" && /^(?:true|false)$/iu.test(given) ? given.toLowerCase() === "true" : given;
}

function required<T>(flag: string, value: T | null, what: string): T {
  if (value !== null) return value;
  throw new OptionError(`[${flag}] expected ${what}, got nothing; give ${flag} or put it into the --config file`);
}
