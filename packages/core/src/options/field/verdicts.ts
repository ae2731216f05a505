// How names of the field are declared that have no effect here: taken with a note, or not there yet.
import * as z from "zod";

/** What is said of a name of the field that is no option with an effect. */
export type Verdict = "taken" | "not yet";

/** Why a name has no effect yet: a kind of thing that is not there, a reason of its own (`other`), or it is only not written yet. */
export type Reason = "several GPUs" | "torch.compile" | "hub push" | "vision" | "kernels" | "other" | "planned";

/** A value that a JSON file can hold. */
type Plain = string | number | boolean | null | readonly unknown[] | Readonly<Record<string, unknown>>;

/**
 * A name for which nothing has to be done here, whatever its value is: what it asks for holds anyway, or is about something that is not
 * there. A run that is given another value than the library's default says so in its note.
 *
 * @param theirs the default of the library
 * @param why a sentence without its full stop: why nothing has to be done
 */
export function taken<T extends z.ZodType>(option: T, theirs: Plain, why: string) {
  return option
    .nullable()
    .optional()
    .describe(`Taken, nothing to do: ${why}. Default ${shownDefault(theirs)} (theirs).`)
    .meta({ default: theirs, verdict: "taken" satisfies Verdict, why });
}

/**
 * A name whose effect is not there yet: only values that ask for nothing are accepted.
 *
 * @param option of the values that ask for nothing, the library's default among them
 * @param theirs the default of the library
 * @param why a sentence without its full stop: what is lacking, and what to do
 */
export function notYet<T extends z.ZodType>(option: T, theirs: Plain, reason: Reason, why: string) {
  return option
    .optional()
    .describe(`Not yet: ${why}. Default ${shownDefault(theirs)} (theirs).`)
    .meta({ default: theirs, verdict: "not yet" satisfies Verdict, reason, why, advice: `not yet: ${why}` });
}

function shownDefault(theirs: Plain): string {
  return typeof theirs === "object" && theirs !== null ? JSON.stringify(theirs) : String(theirs);
}

/** Any object; what is in it does not matter. */
export const anyObject = z.record(z.string(), z.unknown());

/** Values of a flag that ask for nothing. */
export const off = z.union([z.literal(false), z.null()]);

/** No value: the name must be left out, or null. */
export const none = z.null();

/** An object without anything in it. */
export const nothing = z.record(z.string(), z.never());

/** A mask of every option of a shape, as zod's `omit` takes it. */
export function allOf<Shape extends object>(shape: Shape): { [Name in keyof Shape]: true } {
  return Object.fromEntries(Object.keys(shape).map((name) => [name, true])) as { [Name in keyof Shape]: true };
}

/** The verdict on an option; null where it has an effect. */
export function verdictOn(option: z.ZodType): Verdict | null {
  return (option.meta()?.verdict as Verdict | undefined) ?? null;
}

/** The options of a schema that have an effect: those of no verdict. */
export function effective<Options extends object>(schema: z.ZodObject, options: Options): Options {
  const has = ([name]: [string, unknown]) => {
    const option = schema.shape[name] as z.ZodType | undefined;
    return option === undefined || verdictOn(option) === null;
  };
  return Object.fromEntries(Object.entries(options).filter(has)) as Options;
}

/** Names of the options that were given another value than the library's default and for which nothing has to be done. */
export function takenOf(schema: z.ZodObject, options: object): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    const option = schema.shape[name] as z.ZodType | undefined;
    if (option === undefined || verdictOn(option) !== "taken" || value === null) return [];
    return JSON.stringify(value) === JSON.stringify(option.meta()?.default) ? [] : [name];
  });
}
