// Checks options, given in any accepted spelling.
import type { z } from "zod";
import { ArgumentError, OptionError } from "../errors.ts";
import { refusedInside, refusedValue } from "./expectation.ts";
import { canonicalName, nearestName } from "./names.ts";

/**
 * Checks options against their schema and fills in the plain defaults. Names may be camelCase or snake_case. An unknown name is an
 * `OptionError` that gives the nearest known one, and so is a value out of its range.
 */
export function parseOptions<S extends z.ZodObject>(schema: S, given: object): z.output<S> {
  const values = canonicalKeys(given, Object.keys(schema.shape), schema.meta()?.title ?? "options");
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const wrong = new Set(result.error.issues.map((issue) => String(issue.path[0])));
  const problems = [...wrong].map((key) => refusedValue(key, schema.shape[key] as z.ZodType, values[key]));
  throw new OptionError(problems.join("; "));
}

/**
 * Checks an argument of a function against its schema, entries inside it too, and fills in the defaults. What breaks the schema is an
 * `ArgumentError` that names the first place.
 */
export function parseArgument<S extends z.ZodType>(schema: S, given: unknown, place: string): z.output<S> {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ArgumentError(refusedInside(place, schema, given, issue as z.core.$ZodIssue));
}

/**
 * The same options under their own names. A name that is not known is an `OptionError` that gives the nearest one; so is a name that is
 * given in two spellings. What is undefined is left out.
 *
 * @param place where the options stand, for the message
 */
export function canonicalKeys(given: object, known: readonly string[], place: string): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const key = canonicalName(name);
    if (!known.includes(key)) throw unknownOption(name, known, place);
    if (Object.hasOwn(values, key))
      throw new OptionError(`[${place}] expected "${key}" once, got it twice; remove "${name}"`);
    values[key] = value;
  }
  return values;
}

/** Every option of a type, and whether it has to be given. */
export type OptionKeys<Options> = {
  readonly [Name in keyof Options]-?: Record<never, never> extends Pick<Options, Name> ? "optional" : "required";
};

/**
 * The arguments of a constructor or function that takes more than a schema can declare, such as models and callbacks: by their own
 * names alone. A name that is not known is an `OptionError` that gives the nearest one, and so is an argument that has to be given and is
 * not.
 */
export function parseKeys<Options extends object>(keys: OptionKeys<Options>, given: Options, place: string): Options {
  const names = Object.entries<"optional" | "required">(keys);
  const known = names.map(([name]) => name);
  const strange = Object.keys(given).find((name) => !known.includes(name));
  if (strange !== undefined) throw unknownOption(strange, known, place);
  const values = canonicalKeys(given, known, place);
  const missing = names.find(([name, need]) => need === "required" && values[name] === undefined);
  if (missing !== undefined) throw new OptionError(`[${place}] expected ${missing[0]}, got nothing; give it`);
  return values as Options;
}

/** What can be listed in an error without hiding the error. */
const few = 12;

/** An error for an option that does not exist, with the known name that is nearest to it. */
function unknownOption(given: string, known: readonly string[], place: string): OptionError {
  const nearest = nearestName(canonicalName(given), known);
  const all = known.length > few ? "tunesmith train --help lists them" : `its options are ${known.join(", ")}`;
  const hint = nearest === null ? all : `did you mean "${nearest}"?`;
  return new OptionError(`[${place}] expected a known option, got "${given}"; ${hint}`);
}
