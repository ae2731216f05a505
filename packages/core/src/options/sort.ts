// Sorts options that were given together by the schema they belong to.
import type { z } from "zod";
import { canonicalName } from "./names.ts";
import { canonicalKeys, type OptionKeys, parseKeys, parseOptions } from "./parse.ts";

/** Schemas by the name under which their options are wanted. */
export type Schemas = Readonly<Record<string, z.ZodObject>>;

/** Names of every option of several schemas. */
export function namesOf(schemas: Schemas): string[] {
  return Object.values(schemas).flatMap(({ shape }) => Object.keys(shape));
}

/** Options sorted by schema, each checked and with its plain defaults. */
export type Sorted<S extends Schemas> = { [Name in keyof S]: z.output<S[Name]> };

/**
 * Options that were given together, sorted by schema, each checked and with its plain defaults. An option that no schema knows is an
 * `OptionError` that gives the nearest name of all of them.
 *
 * @param place where the options stand, for the message
 */
export function sortOptions<S extends Schemas>(schemas: S, given: object, place: string): Sorted<S> {
  return sortOptionsBeside<S, object>(schemas, {}, given, place)[0];
}

/** The same where a function takes options besides that no schema can declare, such as callbacks: those come second. */
export function sortOptionsBeside<S extends Schemas, Others extends object>(
  schemas: S,
  others: OptionKeys<Others>,
  given: object,
  place: string,
): [sorted: Sorted<S>, others: Others] {
  const values = Object.entries(canonicalKeys(given, [...Object.keys(others), ...namesOf(schemas)], place));
  const of = (shape: object) => Object.fromEntries(values.filter(([key]) => Object.hasOwn(shape, key)));
  const sorted = Object.entries(schemas).map(([name, schema]) => [name, parseOptions(schema, of(schema.shape))]);
  return [Object.fromEntries(sorted) as Sorted<S>, parseKeys(others, of(others) as Others, place)];
}

/** Of options with their defaults those that were given, in whatever spelling. */
export function onlyGiven<Options extends object>(options: Options, given: object): Partial<Options> {
  const names = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [canonicalName(name)]));
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.includes(name))) as Partial<Options>;
}
