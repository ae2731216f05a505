// Arguments of constructors and functions that no schema declares, such as models, callbacks and signals.
import { expandHome } from "../files/home.ts";
import { refusedKind } from "./expectation.ts";
import { canonicalName, nearestName } from "./names.ts";
import { unknownOption } from "./parse.ts";
import { objectOf, refuseAll } from "./problems.ts";

/** What a value can be told to be at run time. A path is given with `~` as the home folder. */
const kinds = {
  text: { expected: "a text", holds: (value: unknown) => typeof value === "string" },
  path: { expected: "a path", holds: (value: unknown) => typeof value === "string" && value !== "" },
  number: { expected: "a number", holds: (value: unknown) => typeof value === "number" && Number.isFinite(value) },
  flag: { expected: "true or false", holds: (value: unknown) => typeof value === "boolean" },
  function: { expected: "a function", holds: (value: unknown) => typeof value === "function" },
  list: { expected: "a list", holds: (value: unknown) => Array.isArray(value) },
  object: { expected: "an object", holds: (value: unknown) => typeof value === "object" && value !== null },
  signal: {
    expected: "an AbortSignal",
    holds: (value: unknown) => typeof (value as AbortSignal | null)?.addEventListener === "function",
  },
} as const;

type Kind = keyof typeof kinds;
type Need<Word extends "optional" | "required"> = Word | `${Word} ${Kind}`;

/** Every option of a type, whether it has to be given, and what it must be as far as that is checked here. */
export type OptionKeys<Options> = {
  readonly [Name in keyof Options]-?: Record<never, never> extends Pick<Options, Name>
    ? Need<"optional">
    : Need<"required">;
};

/**
 * The arguments of a constructor or function that takes more than a schema can declare, such as models and callbacks: by their own
 * names alone. All that is wrong is in one `OptionError`: names that are not known, each with the nearest one, arguments that have to be
 * given and are not, and values of another kind.
 */
export function parseKeys<Options extends object>(keys: OptionKeys<Options>, given: Options, place: string): Options {
  const problems: string[] = [];
  const values = keyedValues(keys, given, place, problems);
  refuseAll(problems);
  return values;
}

/** The same, where what is wrong is added to the problems. */
export function keyedValues<Options extends object>(
  keys: OptionKeys<Options>,
  given: Options,
  place: string,
  problems: string[],
): Options {
  const wanted = Object.entries<string>(keys);
  const known = wanted.map(([name]) => name);
  const values: Record<string, unknown> = {};
  const misspelt: (string | null)[] = [];
  for (const [name, value] of Object.entries(objectOf(given, known, place))) {
    if (value === undefined) continue;
    if (known.includes(name)) values[name] = value;
    else {
      problems.push(unknownOption(name, known, place));
      misspelt.push(nearestName(canonicalName(name), known));
    }
  }
  for (const [name, need] of wanted) {
    const [word, kind] = need.split(" ") as ["optional" | "required", Kind | undefined];
    const value = values[name];
    if (value === undefined) {
      if (word === "required" && !misspelt.includes(name))
        problems.push(`[${place}] expected ${name}, got nothing; give it`);
    } else if (kind !== undefined && !kinds[kind].holds(value)) {
      problems.push(refusedKind(name, kinds[kind].expected, value));
    } else if (kind === "path") {
      values[name] = expandHome(value as string);
    }
  }
  return values as Options;
}
