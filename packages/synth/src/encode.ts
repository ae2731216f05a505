// From instances to rows: a prompt and a completion, in one of several layouts.
import { drawBelow, drawUnit, keyOf, purpose } from "@tunesmith/curriculum";
import type { TaskInstance } from "./seeds.ts";

/** A row as `SFTTrainer` takes it. */
export interface PromptCompletion {
  prompt: string;
  completion: string;
}

type Layout = readonly [prompt: (instruction: string, input: string) => string, completionStart: string];

/** Layouts of an instance with an input; several, so that a model does not learn one of them in place of the task. */
const withInput: readonly Layout[] = [
  [(instruction, input) => `${instruction}\n\n${input}\n\nAnswer:`, " "],
  [(instruction, input) => `${instruction}\nInput: ${input}\nAnswer:`, " "],
  [(instruction, input) => `Task: ${instruction}\n\nInput: ${input}\n\nResult:`, " "],
  [(instruction, input) => `Instruction: ${instruction}\nText: ${input}\nResponse:`, " "],
  [(instruction, input) => `${instruction}\n\n${input}\n\n`, ""],
  [(instruction, input) => `${instruction}\n${input}\n\n`, ""],
  [(instruction, input) => `Do what the task says.\n\nTask: ${instruction}\n\n${input}\n\n`, ""],
];

const withoutInput: readonly Layout[] = [
  [(instruction) => `${instruction} Answer:`, " "],
  [(instruction) => `${instruction}\nAnswer:`, " "],
  [(instruction) => `Task: ${instruction}\n\nResult:`, " "],
  [(instruction) => `${instruction}\n`, ""],
  [(instruction) => `${instruction}\n\n`, ""],
  [(instruction) => `Do what the task says.\n\nTask: ${instruction}\n\n`, ""],
];

/**
 * The row of an instance: half of the time the name of its only field is left out, half of the time blank lines of the input are; then
 * one of the layouts is drawn.
 *
 * @param place of the instance among all: with the seed it decides what is drawn
 */
export function encode(instruction: string, instance: TaskInstance, seed: number, place: number): PromptCompletion {
  const key = keyOf(seed);
  const at = (n: number) => [place, n, 0, purpose.templates] as const;
  const named = instance.input.trim();
  const input = drawUnit(at(0), key) < 0.5 ? withoutFieldName(named) : named;
  const close = drawUnit(at(1), key) < 0.5 ? input.replaceAll("\n\n", "\n") : input;
  const layouts = close === "" ? withoutInput : withInput;
  const [prompt, start] = layouts[drawBelow(layouts.length, at(2), key)] as Layout;
  return { prompt: prompt(instruction.trim(), close), completion: `${start}${instance.output.trim()}` };
}

/** An input whose only field has a name, without that name: `Sentence: It rains.` as `It rains.` */
function withoutFieldName(input: string): string {
  const names = new Set(input.match(/\w+(?=:(?:\s|$))/gu) ?? []);
  return names.size === 1 ? input.replace(/^\w+:\s*/u, "") : input;
}
