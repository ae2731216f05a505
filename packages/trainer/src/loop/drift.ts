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

/** What a checkpoint remembers of a run besides its options. */
export interface RunIdentity {
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
  { fromProgram, modelType, sha256: modelSha256, weights }: RunIdentity,
  schema: Schemas[string],
): Record<string, unknown> {
  const influence = new Map(
    [schema, loraConfigSchema].flatMap(optionsOf).map((option) => [option.name, option.influence]),
  );
  const given = fromProgram.length > 0 ? { fromProgram } : {};
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

/**
 * A run goes on only with the options and the data it began with. What a checkpoint does not name was not there when it was written: the
 * run had what is the default now.
 *
 * @param options those that decide, as they are now
 * @param schema of the trainer's arguments
 */
export function refuseDrift(
  { path, trainer, data }: Checkpoint,
  options: Record<string, unknown>,
  fingerprint: string | null,
  schema: Schemas[string],
): void {
  const defaults: Readonly<Record<string, unknown>> = { ...schema.parse({}), ...loraConfigSchema.parse({}) };
  const before: Readonly<Record<string, unknown>> = { ...pick(defaults, Object.keys(options)), ...trainer.config };
  const names = [...new Set([...Object.keys(options), ...Object.keys(before)])];
  const text = (value: unknown) => JSON.stringify(value ?? null);
  const drift = names.filter((name) => text(options[name]) !== text(before[name]));
  const changes = drift.map((name) => `${name} (was ${text(before[name])}, is ${text(options[name])})`);
  if (data.fingerprint !== fingerprint) changes.push("the training data");
  if (changes.length === 0) return;
  throw new CheckpointError(
    `[${path}] expected the options the run began with, but these differ: ${changes.join(", ")}; set them back, or start a new run`,
  );
}

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]]));
}
