// All that is wrong with what was given, said at once.
import { OptionError } from "../errors.ts";
import { shown } from "./expectation.ts";

/** Throws one `OptionError` with every problem; nothing where there is none. */
export function refuseAll(problems: readonly string[]): void {
  if (problems.length > 0) throw new OptionError(problems.join("; "));
}

/**
 * The results of several checks. Where some of them throw an `OptionError`, one with all their messages is thrown; any other error passes
 * at once.
 */
export function together<Results extends readonly unknown[]>(
  ...checks: { readonly [N in keyof Results]: () => Results[N] }
): Results {
  const errors: OptionError[] = [];
  const results = checks.map((check) => {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      errors.push(error);
      return undefined;
    }
  });
  const [first] = errors;
  if (errors.length === 1 && first !== undefined) throw first;
  refuseAll(errors.map(({ message }) => message));
  return results as unknown as Results;
}

/** What was given as an object of options; from JavaScript it may be anything. */
export function objectOf(given: unknown, known: readonly string[], place: string): object {
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return given;
  const options = known.length > 6 ? `options such as ${known.slice(0, 3).join(", ")}` : `options ${known.join(", ")}`;
  throw new OptionError(`[${place}] expected an object with the ${options}, got ${shown(given)}; give it`);
}
