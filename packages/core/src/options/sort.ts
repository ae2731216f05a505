// Sorts options that were given together by the schema they belong to.
import type { z } from "zod";
import { canonicalKeys, parseOptions } from "./parse.ts";

/** Schemas by the name under which their options are wanted. */
export type Schemas = Readonly<Record<string, z.ZodObject>>;

/** Names of every option of several schemas. */
export function namesOf(schemas: Schemas): string[] {
  return Object.values(schemas).flatMap(({ shape }) => Object.keys(shape));
}

/**
 * Options that were given together, sorted by schema, each checked and with its plain defaults. An option that no schema knows is an
 * `OptionError` that gives the nearest name of all of them.
 *
 * @param place where the options stand, for the message
 */
export function sortOptions<S extends Schemas>(
  schemas: S,
  given: object,
  place: string,
): { [Name in keyof S]: z.output<S[Name]> } {
  const values = Object.entries(canonicalKeys(given, namesOf(schemas), place));
  const sorted = Object.entries(schemas).map(([name, schema]) => {
    const own = values.filter(([key]) => Object.hasOwn(schema.shape, key));
    return [name, parseOptions(schema, Object.fromEntries(own))];
  });
  return Object.fromEntries(sorted) as { [Name in keyof S]: z.output<S[Name]> };
}
