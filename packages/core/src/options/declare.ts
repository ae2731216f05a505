// How options are declared: what the schemas have in common.
import * as z from "zod";
import { expandHome } from "../files/home.ts";

/** Groups of options, in the order in which help and documents show them. */
export const optionGroups = [
  "run",
  "data",
  "optimizer",
  "adapter",
  "evaluation",
  "samples",
  "saving",
  "memory",
  "generation",
  "taken",
  "synthesis",
] as const;

/** What an option is about. */
export type OptionGroup = (typeof optionGroups)[number];

/**
 * What an option decides: `numbers`, what a step computes; `length`, how long a run is, which matters where learning rates depend on it;
 * `nothing` of either: where results go, what is reported and when. A resumed run must share what decides its numbers.
 */
export type Influence = "numbers" | "length" | "nothing";

/** What the options of a group decide, unless one says otherwise of itself with `meta({ influence })`. */
const influenceOf: Readonly<Record<OptionGroup, Influence>> = {
  run: "nothing",
  data: "numbers",
  optimizer: "numbers",
  adapter: "numbers",
  evaluation: "nothing",
  samples: "nothing",
  saving: "nothing",
  memory: "numbers",
  generation: "nothing",
  taken: "nothing",
  // Of rows that are made before any run.
  synthesis: "nothing",
};

/** A whole number above 0. */
export const count = z.int().positive();

/** The path of a file or folder; `~` is the home folder. */
export const path = z.string().min(1).overwrite(expandHome);

/** Options of one group, in help and documents below one title. */
export function grouped<Shape extends Readonly<Record<string, z.ZodType>>>(group: OptionGroup, shape: Shape): Shape {
  const declared = Object.entries(shape).map(([name, option]) => {
    const influence = option.meta()?.influence ?? influenceOf[group];
    return [name, option.meta({ group, influence })];
  });
  return Object.fromEntries(declared) as Shape;
}

/** For `meta`: Python's None, where a file has it as null, asks for the default. */
export const noneIsDefault = { noneIsDefault: true } as const;
