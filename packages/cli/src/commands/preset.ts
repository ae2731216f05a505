// `--preset`: what it says of how a model is opened, and where each of its values comes from.
import {
  canonicalKeys,
  modelConfigSchema,
  namesOf,
  type PresetModel,
  presetNamed,
  presetOptions,
  presetValues,
} from "@tunesmith/core";
import { trainingSchemas } from "../flags.ts";
import { presetLines } from "../view/preset-lines.ts";
import type { Output } from "../view/screen.ts";

/** Options with what their preset says of how a model is opened; what a run does of it the trainer decides, which knows the model. */
export function withPresetModel(all: Record<string, unknown>, place: string): Record<string, unknown> {
  const { preset } = all;
  if (typeof preset !== "string") return all;
  const applied = presetValues(presetNamed(preset), givenOf(all, place), null);
  return { ...presetOptions(applied, Object.keys(modelConfigSchema.shape)), ...all };
}

/** Says which values the preset of a run has and where they come from; nothing without one. */
export function tellPreset(all: Record<string, unknown>, place: string, model: PresetModel, out: Output): void {
  const { preset } = all;
  if (typeof preset !== "string") return;
  const given = givenOf(all, place);
  out.write(presetLines(presetNamed(preset), presetValues(presetNamed(preset), given, model), given));
}

function givenOf(all: Record<string, unknown>, place: string): Record<string, unknown> {
  return canonicalKeys(all, namesOf(trainingSchemas), place);
}
