// Constants that a schedule or an optimizer takes by name: how they are given, and how they are checked.
import type { z } from "zod";
import { OptionError } from "../errors.ts";
import { repeatedKey } from "../json/index.ts";
import { refusedValue, shown } from "./expectation.ts";
import { canonicalKeys } from "./parse.ts";

/** Constants as an option holds them: `NAME=VALUE,NAME=VALUE`, a JSON object as text, or by name. */
export type GivenConstants = string | Readonly<Record<string, unknown>> | null;

/**
 * The entries of constants: those of an object, of a text that is one in JSON (transformers' lr_scheduler_kwargs), or of
 * `NAME=VALUE,NAME=VALUE` (its optim_args).
 */
export function entriesOf(given: GivenConstants, place: string): Readonly<Record<string, unknown>> {
  if (typeof given !== "string") return given ?? {};
  if (given.trimStart().startsWith("{"))
    return jsonValue(given, place, "a JSON object or NAME=VALUE") as Readonly<Record<string, unknown>>;
  const entries = given
    .replaceAll(" ", "")
    .split(",")
    .filter((entry) => entry !== "");
  return valuesByName(entries, place, (entry) => {
    const [, name, value] = /^([^=]+)=([^=]+)$/u.exec(entry) ?? [];
    return name === undefined || value === undefined ? null : [name, constantOf(value)];
  });
}

/**
 * The values of `NAME=VALUE` entries. An entry without a name and a name that stands twice are an `OptionError`.
 *
 * @param read gives the name and the value of an entry, null where it has none
 */
export function valuesByName(
  entries: readonly string[],
  place: string,
  read: (entry: string) => readonly [name: string, value: unknown] | null,
): Record<string, unknown> {
  const values = new Map<string, unknown>();
  for (const entry of entries) {
    const named = read(entry);
    if (named === null) throw new OptionError(`[${place}] expected NAME=VALUE, got "${entry}"; correct it`);
    if (values.has(named[0]))
      throw new OptionError(`[${place}] expected "${named[0]}" once, got it twice; remove "${entry}"`);
    values.set(...named);
  }
  return Object.fromEntries(values);
}

/**
 * The value of an option that is written as JSON. What is not JSON is an `OptionError`, and so is a key that stands twice in its object:
 * one of its values would be lost.
 *
 * @param expected what is expected, for the message
 */
export function jsonValue(text: string, place: string, expected = "JSON"): unknown {
  let repeated: string | null;
  try {
    repeated = repeatedKey(text);
  } catch (cause) {
    throw new OptionError(`[${place}] expected ${expected}, got ${shown(text)} (${String(cause)}); correct it`, {
      cause,
    });
  }
  if (repeated === null) return JSON.parse(text);
  throw new OptionError(`[${place}] expected "${repeated}" once, got it twice in ${shown(text)}; remove one`);
}

/** A number or a truth value, in Python's spelling too; another text is for the schema to refuse. */
function constantOf(text: string): unknown {
  if (/^(?:true|false)$/iu.test(text)) return text.toLowerCase() === "true";
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

/**
 * Constants checked against the schema of what takes them, whose `type` is filled in. A name that it does not have and a value out of
 * range are an `OptionError`.
 *
 * @param place the option that holds them
 */
export function parseConstants<S extends z.ZodObject>(schema: S, given: object, place: string): z.output<S> {
  const { type, ...constants } = schema.shape;
  const name = String((type as z.ZodLiteral<string>).value);
  const [first] = Object.keys(given);
  if (first !== undefined && Object.keys(constants).length === 0)
    throw new OptionError(`[${place}] expected nothing for ${name}, got "${first}"; remove it`);
  const values = canonicalKeys(given, Object.keys(constants), place);
  const result = schema.safeParse({ type: name, ...values });
  if (result.success) return result.data;
  const wrong = String(result.error.issues[0]?.path[0]);
  if (values[wrong] === undefined)
    throw new OptionError(
      `[${place}] expected ${wrong} for ${name}, which has no default, got nothing; give it, as in ${wrong}=VALUE`,
    );
  throw new OptionError(refusedValue(`${place}.${wrong}`, constants[wrong] as z.ZodType, values[wrong]));
}
