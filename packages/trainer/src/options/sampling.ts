// When the prompts of a run are answered, as its options say.
import type { ParsedTrainingArguments } from "@tunesmith/core";

type Sampling = Pick<ParsedTrainingArguments, "sampleOnEval" | "samplePrompts" | "sampleEverySteps">;

/** Whether prompts are answered before the first step and at each evaluation. */
export function answersOnEval({ sampleOnEval, samplePrompts, sampleEverySteps }: Sampling): boolean {
  return sampleOnEval ?? (samplePrompts !== null || sampleEverySteps !== null);
}

/** Whether any are answered. */
export function answersPrompts(args: Sampling): boolean {
  return answersOnEval(args) || args.sampleEverySteps !== null;
}
