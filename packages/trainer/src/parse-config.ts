// Checks options, given in any accepted spelling.
import { OptionError } from "@tunesmith/core";
import type { z } from "zod";
import {
  type LoraConfig,
  loraConfigSchema,
  type ParsedLoraConfig,
  type ParsedSFTConfig,
  type SFTConfig,
  sftConfigSchema,
} from "./config.ts";
import { refusedValue } from "./expectation.ts";
import { type ModelConfig, modelConfigSchema, type ParsedModelConfig } from "./model-config.ts";
import { nearestName } from "./nearest-name.ts";

/** Other names that options are known by. */
const aliases = new Map([
  ["warmupRatio", "warmupSteps"],
  ["maxSeqLength", "maxLength"],
]);

/**
 * Checks options and fills in the plain defaults. Names may be camelCase or snake_case. An unknown name is an `OptionError` that
 * gives the nearest known one.
 */
export function parseConfig(options: SFTConfig | Readonly<Record<string, unknown>>): ParsedSFTConfig {
  return parse(sftConfigSchema, options, "SFTConfig");
}

/** The same for the adapter. */
export function parseLoraConfig(options: LoraConfig | Readonly<Record<string, unknown>>): ParsedLoraConfig {
  return parse(loraConfigSchema, options, "LoraConfig");
}

/** The same for the model's weights. */
export function parseModelConfig(options: ModelConfig | Readonly<Record<string, unknown>>): ParsedModelConfig {
  return parse(modelConfigSchema, options, "ModelConfig");
}

function parse<S extends z.ZodObject>(
  schema: S,
  options: Readonly<Record<string, unknown>>,
  name: string,
): z.output<S> {
  const known = Object.keys(schema.shape);
  const values: Record<string, unknown> = {};
  for (const [given, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const key = canonicalName(given);
    if (!known.includes(key)) throw unknownOption(given, known, name);
    if (Object.hasOwn(values, key))
      throw new OptionError(`[${name}] expected "${key}" once, got it twice; remove "${given}"`);
    values[key] = value;
  }
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const wrong = new Set(result.error.issues.map((issue) => String(issue.path[0])));
  const problems = [...wrong].map((key) => refusedValue(key, schema.shape[key] as z.ZodType, values[key]));
  throw new OptionError(problems.join("; "));
}

/** The camelCase name of an option given in any accepted spelling. */
export function canonicalName(name: string): string {
  const camel = name.replaceAll(/[_-]+([a-z0-9])/giu, (_, letter: string) => letter.toUpperCase());
  return aliases.get(camel) ?? camel;
}

/** An error for an option that does not exist, with the known name that is nearest to it. */
export function unknownOption(given: string, known: readonly string[], place: string): OptionError {
  const nearest = nearestName(canonicalName(given), known);
  const hint = nearest === null ? "tunesmith train --help lists them" : `did you mean "${nearest}"?`;
  return new OptionError(`[${place}] expected a known option, got "${given}"; ${hint}`);
}
