// The arms of a sweep: every combination of the values that its file lists.
import { canonicalKeys, canonicalName, namesOf, OptionError, type Schemas, sortOptions } from "@tunesmith/core";
import { lrSweep } from "@tunesmith/sdk";
import { trainingSchemas } from "../flags.ts";

/** One run of a sweep. */
export interface Arm {
  /** `arm-01`, by its place. */
  name: string;
  /** What it varies, by option. */
  values: Readonly<Record<string, unknown>>;
}

/** Key of groups of options that change together. */
const tied = "_";

/** What is not an arm's own. */
const ofTheSweep = ["outputDir", "resumeFromCheckpoint", "data", "evalData", "testSize", "splitBy"];

/**
 * The arms of `sweep`: the product of its lists, in their order, the last changing fastest. A list holds values of one option, or below
 * `_` groups of options that change together; `{ from, to, count }` stands for learning rates a constant factor apart. What cannot be
 * read, and an arm whose options are wrong, is an `OptionError`.
 *
 * @param schemas of the options. Default: those of `tunesmith train`
 */
export function armsOf(
  sweep: unknown,
  shared: Readonly<Record<string, unknown>>,
  place: string,
  schemas: Schemas = trainingSchemas,
): Arm[] {
  if (typeof sweep !== "object" || sweep === null || Array.isArray(sweep))
    throw new OptionError(
      `[${place}] expected options with lists of values below sweep, got ${JSON.stringify(sweep)}; give them`,
    );
  const axes = Object.entries(sweep).flatMap(([name, given]) => axesOf(name, given, place, schemas));
  const varied = axes.flatMap((axis) => Object.keys(axis[0] ?? {}));
  const twice = varied.find((name, n) => varied.indexOf(name) !== n);
  if (twice !== undefined)
    throw new OptionError(`[${place}] expected "${twice}" once below sweep, got it twice; remove one`);
  const fixed = varied.find((name) => ofTheSweep.includes(name) || shared[name] !== undefined);
  if (fixed !== undefined)
    throw new OptionError(
      `[${place}] expected "${fixed}" ${ofTheSweep.includes(fixed) ? "for all arms" : "in one place"}, got it below sweep${ofTheSweep.includes(fixed) ? "" : " too"}; ${ofTheSweep.includes(fixed) ? "arms are compared on the same rows, in folders of their own" : "remove one"}`,
    );
  let combined: Record<string, unknown>[] = [{}];
  for (const axis of axes) combined = combined.flatMap((values) => axis.map((more) => ({ ...values, ...more })));
  const digits = String(combined.length).length;
  return combined.map((values, n) => {
    const name = `arm-${String(n + 1).padStart(Math.max(2, digits), "0")}`;
    // Wrong values are found before the first arm is trained.
    sortOptions(schemas, { ...shared, ...values }, `${place}: ${name}`);
    return { name, values };
  });
}

/** The values of one list, each as the options that it sets. */
function axesOf(name: string, given: unknown, place: string, schemas: Schemas): Record<string, unknown>[][] {
  const known = namesOf(schemas);
  const refuse = (expected: string) =>
    new OptionError(
      `[${place}] expected ${expected} below sweep, got ${JSON.stringify(given)} for "${name}"; correct it`,
    );
  if (name === tied) {
    const groups = Array.isArray(given) && given.every(Array.isArray) ? given : [given];
    return groups.map((group) => {
      const isGroup = (entry: unknown) => typeof entry === "object" && entry !== null && !Array.isArray(entry);
      if (!Array.isArray(group) || group.length === 0 || !group.every(isGroup))
        throw refuse("a list of groups of options");
      const entries = group.map((entry) => canonicalKeys(entry, known, place));
      const names = JSON.stringify(Object.keys(entries[0] as object).sort());
      if (entries.some((entry) => JSON.stringify(Object.keys(entry).sort()) !== names))
        throw refuse("the same options in every group");
      return entries;
    });
  }
  const [option = ""] = Object.keys(canonicalKeys({ [name]: 0 }, known, place));
  const values = isRange(given) ? lrSweep(given) : given;
  if (isRange(given) && canonicalName(name) !== "learningRate") throw refuse("a list of values");
  if (!Array.isArray(values) || values.length === 0) throw refuse("a list of values");
  return [values.map((value) => ({ [option]: value }))];
}

function isRange(given: unknown): given is Parameters<typeof lrSweep>[0] {
  return typeof given === "object" && given !== null && "from" in given && "to" in given;
}
