// Checks options, given in any accepted spelling.
import type { z } from "zod";
import { ArgumentError } from "../errors.ts";
import { adviceFor } from "./elsewhere.ts";
import { refusedInside, refusedValue } from "./expectation.ts";
import { canonicalName, nearestName, withCanonicalEntries } from "./names.ts";
import { objectOf, refuseAll } from "./problems.ts";

/**
 * Checks options against their schema and fills in the plain defaults. Names may be camelCase or snake_case. Everything that is wrong is
 * in one `OptionError`: unknown names, each with the nearest known one, and values out of their range.
 */
export function parseOptions<S extends z.ZodObject>(schema: S, given: object): z.output<S> {
  const place = schema.meta()?.title ?? "options";
  const known = Object.keys(schema.shape);
  const problems: string[] = [];
  const values = namedValues(objectOf(given, known, place), known, place, problems);
  const parsed = parsedValues(schema, values, problems);
  refuseAll(problems);
  return parsed as z.output<S>;
}

/** Where an option stands, by the name that it is given under or by its own. */
export type PlaceOf = (name: string) => string;

/** Values under their own names, checked; what is wrong with them is added to the problems, and undefined given. */
export function parsedValues<S extends z.ZodObject>(
  schema: S,
  values: Readonly<Record<string, unknown>>,
  problems: string[],
  placeOf: PlaceOf = (name) => name,
): z.output<S> | undefined {
  const asks = ([name, value]: [string, unknown]) =>
    value !== null || (schema.shape[name] as z.ZodType | undefined)?.meta()?.noneIsDefault !== true;
  const result = schema.safeParse(Object.fromEntries(Object.entries(values).filter(asks)));
  if (result.success) return result.data;
  const wrong = new Set(result.error.issues.map((issue) => String(issue.path[0])));
  for (const key of wrong) problems.push(refusedValue(placeOf(key), schema.shape[key] as z.ZodType, values[key]));
  return undefined;
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
 * @param placeOf where a single one stands. Default: at `place`
 */
export function canonicalKeys(
  given: object,
  known: readonly string[],
  place: string,
  placeOf?: PlaceOf,
): Record<string, unknown> {
  const problems: string[] = [];
  const values = namedValues(objectOf(given, known, place), known, placeOf ?? place, problems);
  refuseAll(problems);
  return values;
}

/** The same, where what is wrong with the names is added to the problems, and left out of the values. */
export function namedValues(
  given: object,
  known: readonly string[],
  where: string | PlaceOf,
  problems: string[],
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const key = canonicalName(name);
    const place = typeof where === "string" ? where : where(name);
    if (!known.includes(key)) problems.push(unknownOption(name, known, place));
    else if (Object.hasOwn(values, key))
      problems.push(`[${place}] expected "${key}" once, got it twice; remove "${name}"`);
    else if (namesPrototype(value))
      problems.push(`[${place}] expected other names than "__proto__" in "${name}"; rename it`);
    else values[key] = withCanonicalEntries(value);
  }
  return values;
}

/** Whether a key in a value, as deep as options go, is `__proto__`, which a checked copy of it would lose. */
function namesPrototype(value: unknown, depth = 4): boolean {
  if (typeof value !== "object" || value === null || depth === 0) return false;
  if (!Array.isArray(value) && !isPlain(value)) return false;
  return Object.entries(value).some(([name, inner]) => name === "__proto__" || namesPrototype(inner, depth - 1));
}

function isPlain(value: object): boolean {
  return [Object.prototype, null].includes(Object.getPrototypeOf(value));
}

/** What can be listed in an error without hiding the error. */
const few = 20;

/** What to say of an option that does not exist: what stands in its place, the known name that is nearest to it, else all of them. */
export function unknownOption(given: string, known: readonly string[], place: string): string {
  const name = canonicalName(given);
  const nearest = nearestName(name, known);
  const all = known.length > few ? "tunesmith train --help lists them" : `its options are ${known.join(", ")}`;
  const hint = adviceFor(name, known) ?? (nearest === null ? all : `did you mean "${nearest}"?`);
  return `[${place}] expected a known option, got "${given}"; ${hint}`;
}
