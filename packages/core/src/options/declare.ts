// How options are declared: what the schemas have in common.
import { z } from "zod";

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
] as const;

/** What an option is about. */
export type OptionGroup = (typeof optionGroups)[number];

/** A whole number above 0. */
export const count = z.int().positive();

/** Options of one group. */
export function grouped<Shape extends Readonly<Record<string, z.ZodType>>>(group: OptionGroup, shape: Shape): Shape {
  return Object.fromEntries(Object.entries(shape).map(([name, option]) => [name, option.meta({ group })])) as Shape;
}
