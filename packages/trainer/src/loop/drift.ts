// What a resumed run must share with the run that wrote its checkpoint.
import {
  CheckpointError,
  type Influence,
  loraConfigSchema,
  modelConfigSchema,
  optionsOf,
  type ParsedLoraConfig,
  type ParsedModelConfig,
  type ParsedTrainingArguments,
  type Schemas,
} from "@tunesmith/core";
import type { Resolved } from "../options/resolved.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { dependsOnLength } from "./schedule.ts";
import { trainerEntry } from "./trainer-name.ts";

/** What a program gives that no step computes with: what these decide of a run is in its state. */
const watching: readonly string[] = ["metrics", "callbacks"];

/** What a checkpoint remembers of a run besides its options. */
export interface RunIdentity {
  /** Name of the trainer. */
  trainer: string;
  /** Names of the functions that a program gave, such as an order of the rows: without them the steps would be others. */
  fromProgram: readonly string[];
  modelType: string;
  sha256: string | null;
  weights: Readonly<ParsedModelConfig>;
}

/**
 * The options that decide what the steps compute, by name. How long the run is belongs to them where the learning rates depend on it.
 *
 * @param schema of the trainer's arguments, which says of each option what it decides
 */
export function decisiveOptions(
  args: Resolved,
  lora: ParsedLoraConfig,
  { trainer, fromProgram, modelType, sha256: modelSha256, weights }: RunIdentity,
  schema: Schemas[string],
): Record<string, unknown> {
  const influence = new Map(
    [schema, loraConfigSchema].flatMap(optionsOf).map((option) => [option.name, option.influence]),
  );
  const deciding = fromProgram.filter((name) => !watching.includes(name));
  const given = { ...trainerEntry(trainer), ...(deciding.length > 0 && { fromProgram: deciding }) };
  const entries = Object.entries({ ...args, ...lora, modelType, modelSha256, ...changed(weights), ...given });
  return Object.fromEntries(entries.filter(([name]) => decides(influence.get(name) ?? "numbers", args, fromProgram)));
}

function decides(influence: Influence, args: ParsedTrainingArguments, fromProgram: readonly string[]): boolean {
  switch (influence) {
    case "numbers":
      return true;
    case "length":
      return fromProgram.includes("lrScheduler") || dependsOnLength(args);
    case "nothing":
      return false;
  }
}

/** What differs from the defaults: a checkpoint from before an option was there goes on without it. */
function changed(weights: Readonly<ParsedModelConfig>): Partial<ParsedModelConfig> {
  const defaults: Readonly<Record<string, unknown>> = modelConfigSchema.parse({});
  return Object.fromEntries(Object.entries(weights).filter(([name, value]) => value !== defaults[name]));
}

/** The options that decide and the rows, as they are now. */
export interface Decisive {
  options: Record<string, unknown>;
  /** Of the training data. */
  fingerprint: string | null;
  /** Of the trainer's arguments. */
  schema: Schemas[string];
}

/** What is not as it was. */
export interface OptionChange {
  /** Its name; null for the training data, whose fingerprints the values are. */
  option: string | null;
  was: unknown;
  is: unknown;
}

/**
 * What differs from the run that wrote a checkpoint. What a checkpoint does not name was not there when it was written: the run had what is
 * the default now.
 */
export function driftOf({ trainer, data }: Checkpoint, { options, fingerprint, schema }: Decisive): OptionChange[] {
  const defaults: Readonly<Record<string, unknown>> = { ...schema.parse({}), ...loraConfigSchema.parse({}) };
  const before: Readonly<Record<string, unknown>> = { ...pick(defaults, Object.keys(options)), ...trainer.config };
  const names = [...new Set([...Object.keys(options), ...Object.keys(before)])];
  const drift = names
    .map((option): OptionChange => ({ option, was: before[option] ?? null, is: options[option] ?? null }))
    .filter(({ was, is }) => JSON.stringify(was) !== JSON.stringify(is));
  if (data.fingerprint !== fingerprint) drift.push({ option: null, was: data.fingerprint, is: fingerprint });
  return drift;
}

/** A run goes on only with the options and the data it began with: anything else is a `CheckpointError` that names it. */
export function refuseChanges({ path }: Checkpoint, drift: readonly OptionChange[]): void {
  if (drift.length === 0) return;
  const changes = drift.map(({ option, was, is }) =>
    option === null ? "the training data" : `${option} (was ${JSON.stringify(was)}, is ${JSON.stringify(is)})`,
  );
  throw new CheckpointError(
    `[${path}] expected the options the run began with, but these differ: ${changes.join(", ")}; set them back, or start a new run`,
  );
}

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]]));
}
