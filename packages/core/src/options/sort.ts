// Sorts options that were given together by the schema they belong to.
import type { z } from "zod";
import { keyedValues, type OptionKeys } from "./keys.ts";
import { canonicalName } from "./names.ts";
import { namedValues, type PlaceOf, parsedValues } from "./parse.ts";
import { objectOf, refuseAll } from "./problems.ts";

/** Schemas by the name under which their options are wanted. */
export type Schemas = Readonly<Record<string, z.ZodObject>>;

/** Names of every option of several schemas. */
export function namesOf(schemas: Schemas): string[] {
  return Object.values(schemas).flatMap(({ shape }) => Object.keys(shape));
}

/** Options sorted by schema, each checked and with its plain defaults. */
export type Sorted<S extends Schemas> = { [Name in keyof S]: z.output<S[Name]> };

/**
 * Options that were given together, sorted by schema, each checked and with its plain defaults. All that is wrong with them is in one
 * `OptionError`; for an option that no schema knows it gives the nearest name of all of them.
 *
 * @param place where the options stand, for the message
 * @param placeOf where a single one stands, for a message of a wrong name or value. Default: a name at `place`, a value by its name alone
 */
export function sortOptions<S extends Schemas>(schemas: S, given: object, place: string, placeOf?: PlaceOf): Sorted<S> {
  return sortOptionsBeside<S, object>(schemas, {}, given, place, placeOf)[0];
}

/** The same where a function takes options besides that no schema can declare, such as callbacks: those come second. */
export function sortOptionsBeside<S extends Schemas, Others extends object>(
  schemas: S,
  others: OptionKeys<Others>,
  given: object,
  place: string,
  placeOf?: PlaceOf,
): [sorted: Sorted<S>, others: Others] {
  const known = [...Object.keys(others), ...namesOf(schemas)];
  const problems: string[] = [];
  const values = Object.entries(namedValues(objectOf(given, known, place), known, placeOf ?? place, problems));
  const of = (shape: object) => Object.fromEntries(values.filter(([key]) => Object.hasOwn(shape, key)));
  const sorted = Object.entries(schemas).map(([name, schema]) => [
    name,
    parsedValues(schema, of(schema.shape), problems, placeOf && ((key) => `${placeOf(key)}: ${key}`)),
  ]);
  const rest = keyedValues(others, of(others) as Others, place, problems);
  refuseAll(problems);
  return [Object.fromEntries(sorted) as Sorted<S>, rest];
}

/** Of options with their defaults those that were given, in whatever spelling. */
export function onlyGiven<Options extends object>(options: Options, given: object): Partial<Options> {
  const names = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [canonicalName(name)]));
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.includes(name))) as Partial<Options>;
}
