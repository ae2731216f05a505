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
  const problems = result.error.issues.map((issue) => {
    const place = issue.path.join(".");
    return `[${place}] ${issue.message.replace(/^Invalid input: /u, "")}, got ${JSON.stringify(values[String(issue.path[0])])}`;
  });
  throw new OptionError(`${problems.join("; ")}; see the ${name} options`);
}

/** The camelCase name of an option given in any accepted spelling. */
export function canonicalName(name: string): string {
  const camel = name.replaceAll(/[_-]+([a-z0-9])/giu, (_, letter: string) => letter.toUpperCase());
  return aliases.get(camel) ?? camel;
}

/** An error for an option that does not exist, with the known name that is nearest to it. */
export function unknownOption(given: string, known: readonly string[], place: string): OptionError {
  const nearest = nearestName(canonicalName(given), known);
  const hint = nearest === null ? "" : `; did you mean "${nearest}"?`;
  return new OptionError(`[${place}] expected a known option, got "${given}"${hint}`);
}

/** The known name with the fewest edits, if that is less than half of its letters. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best !== null && least < best.length / 2 ? best : null;
}

/** Levenshtein distance by rows of the dynamic programme. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const substitution = (row[j] as number) + (letter === other ? 0 : 1);
      next.push(Math.min(substitution, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row.at(-1) as number;
}
