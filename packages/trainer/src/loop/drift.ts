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

/** The model of a run, as a checkpoint remembers it. */
export interface ModelIdentity {
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
  { modelType, sha256: modelSha256, weights }: ModelIdentity,
  schema: Schemas[string],
): Record<string, unknown> {
  const influence = new Map(
    [schema, loraConfigSchema].flatMap(optionsOf).map((option) => [option.name, option.influence]),
  );
  const entries = Object.entries({ ...args, ...lora, modelType, modelSha256, ...changed(weights) });
  return Object.fromEntries(entries.filter(([name]) => decides(influence.get(name) ?? "numbers", args)));
}

function decides(influence: Influence, { lrSchedulerType, warmupSteps }: ParsedTrainingArguments): boolean {
  switch (influence) {
    case "numbers":
      return true;
    case "length":
      return dependsOnLength(lrSchedulerType, warmupSteps);
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
 * A run goes on only with the options and the data it began with.
 *
 * @param options those that decide, as they are now
 */
export function refuseDrift(
  { path, trainer, data }: Checkpoint,
  options: Record<string, unknown>,
  fingerprint: string,
): void {
  const names = [...new Set([...Object.keys(options), ...Object.keys(trainer.config)])];
  const text = (value: unknown) => JSON.stringify(value ?? null);
  const drift = names.filter((name) => text(options[name]) !== text(trainer.config[name]));
  const changes = drift.map((name) => `${name} (was ${text(trainer.config[name])}, is ${text(options[name])})`);
  if (data.fingerprint !== fingerprint) changes.push("the training data");
  if (changes.length === 0) return;
  throw new CheckpointError(
    `[${path}] expected the options the run began with, but these differ: ${changes.join(", ")}; set them back, or start a new run`,
  );
}
