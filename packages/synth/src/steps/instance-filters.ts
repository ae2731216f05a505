// From a reply with examples to the instances of a task, and which of them the filters drop.
import type { SelfInstructFilter } from "@tunesmith/core";
import type { Filters } from "../filters.ts";
import type { Reply } from "../generate/generate.ts";
import { labelMark } from "../prompts/instances.ts";
import type { TaskInstance } from "../seeds.ts";

const output = /Output\s*\d*\s*:/u;
const input = /Input\s*\d*\s*:/u;
const example = /(?:^|\n)\s*Example\s?\d+[.:]?/u;

/** The examples of a reply that goes on after `Example 1`: input, `Output:`, output, and so on; none of a reply without words. */
export function inputFirst({ text }: Reply): TaskInstance[] {
  return text
    .split(new RegExp(example, "gu"))
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(pairOf);
}

function pairOf(text: string): TaskInstance {
  const parts = text.split(new RegExp(output, "gu"));
  const [given, said] = parts.length === 1 ? ["", text] : [parts[0] as string, parts[1] as string];
  // More than one pair may stand in an example: the first counts.
  const answer = said.split(new RegExp(input, "gu"))[0] as string;
  return {
    input: given
      .trim()
      .replace(new RegExp(`^${input.source}`, "u"), "")
      .trim(),
    output: answer.trim(),
  };
}

/** The examples of a reply that goes on after `Class label:`: a label, an input of that label below, the next label, and so on. */
export function outputFirst({ text }: Reply): TaskInstance[] {
  const parts = text.split(labelMark).map((part) => part.trim());
  // A model that answers begins with the mark once more.
  if (parts[0] === "") parts.shift();
  return parts.map((part) => {
    const [label = "", ...below] = part.split("\n");
    return { input: below.join("\n").trim(), output: label.trim() };
  });
}

/** An instance that was dropped, and by what. */
export interface DroppedInstance {
  filter: SelfInstructFilter;
  instance: TaskInstance;
}

const alone: readonly [SelfInstructFilter, (instance: TaskInstance) => boolean][] = [
  ["same-as-input", (instance) => instance.input === instance.output],
  ["empty-output", (instance) => instance.output === ""],
  ["ends-with-colon", (instance) => instance.input.endsWith(":") || instance.output.endsWith(":")],
];

/**
 * The instances of a task that the filters leave, and those they drop.
 *
 * @param choose which of too many instances stay: places of `count` of them, in their order
 */
export function filteredInstances(
  found: readonly TaskInstance[],
  {
    isCut,
    limit,
    filters,
    choose,
  }: { isCut: boolean; limit: number; filters: Filters; choose: (count: number) => number[] },
): { kept: TaskInstance[]; dropped: DroppedInstance[] } {
  const dropped: DroppedInstance[] = [];
  const drop = (filter: SelfInstructFilter, instance: TaskInstance, applies: boolean): boolean => {
    const gone = filters.drops(filter, applies);
    if (gone) dropped.push({ filter, instance });
    return gone;
  };
  const whole = found.filter((instance, n) => !drop("cut-example", instance, isCut && n === found.length - 1));
  const sound = whole.filter((instance) => !alone.some(([name, applies]) => drop(name, instance, applies(instance))));
  const agreed = conflicts(sound) ? sound.filter((instance) => !drop("conflicting-outputs", instance, true)) : sound;
  const first = (instance: TaskInstance) => agreed.findIndex((other) => isSame(other, instance));
  const distinct = agreed.filter((instance, n) => !drop("duplicate-instance", instance, first(instance) < n));
  const stay = new Set(distinct.length > limit ? choose(distinct.length) : distinct.keys());
  const kept = distinct.filter((instance, n) => !drop("instances-per-task", instance, !stay.has(n)));
  return { kept, dropped };
}

function isSame(a: TaskInstance, b: TaskInstance): boolean {
  return a.input === b.input && a.output === b.output;
}

/** Whether one input has two outputs; that of instances without an input may vary. */
function conflicts(instances: readonly TaskInstance[]): boolean {
  const outputs = new Map<string, string>();
  return instances.some((instance) => {
    const before = outputs.get(instance.input);
    outputs.set(instance.input, instance.output);
    return instance.input !== "" && before !== undefined && before !== instance.output;
  });
}
