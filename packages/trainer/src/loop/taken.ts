// Options of a run for which nothing has to be done: they are said once, and kept in its configuration and its report.
import { loraConfigSchema, modelConfigSchema, takenOf } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";

/** Names of the options of a run that ask for nothing here, though they were given another value than their library's default. */
export function takenOptions({ args, inputs, recipe }: Pick<ActiveRun, "args" | "inputs" | "recipe">): string[] {
  const { model, peft } = inputs;
  return [
    ...takenOf(recipe.schema, args),
    ...takenOf(loraConfigSchema, peft),
    ...takenOf(modelConfigSchema, model.takenOptions ?? {}),
  ];
}

/** The one line about them. */
export function takenNote(options: readonly string[]): string {
  return `taken, nothing to do: ${options.join(", ")} (docs/options.md says why)`;
}
