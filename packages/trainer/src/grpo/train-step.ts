// The gradient of a step: micro-batches of completions through the model.
import type { TrainSession } from "@tunesmith/core";
import { collate } from "@tunesmith/data";
import type { MetricSums } from "../loop/metrics.ts";
import type { MicroBatchOutcome } from "../loop/recipe.ts";
import type { SequenceValues } from "../two-phase/sequence-values.ts";
import { twoPhaseStep } from "../two-phase/step.ts";
import { exampleOf, type GeneratedCompletion, type Generation, trainedTokens } from "./generation.ts";
import type { GenerationSlice } from "./generation-batches.ts";
import type { CompletionValues } from "./losses/completion.ts";
import { type CompletionsLoss, completionsLoss } from "./losses/loss.ts";
import { lossMetrics } from "./losses/metrics.ts";
import type { GRPOLossSettings } from "./losses/settings.ts";
import type { GRPOMetrics } from "./metrics.ts";
import type { PromptRow } from "./prompts.ts";

/** What a step trains on. */
export interface GRPOStepInput {
  step: number;
  seed: number;
  slices: readonly GenerationSlice[];
  generation: (n: number) => Generation;
  prompts: readonly PromptRow[];
  tokenBudget: number;
  temperature: number;
  stepsPerGeneration: number;
  settings: GRPOLossSettings;
  /** Factor of the entropy that this step applies. */
  entropyCoef: number;
}

/** What a step comes to. */
export interface GRPOStep {
  microBatches: { outcome: MicroBatchOutcome<GRPOMetrics>; loss: CompletionsLoss; hasGradient: boolean }[];
  badRows: number[];
}

/** Leaves the gradient of a step in the session: the sum over its micro-batches. */
export async function grpoStep(session: TrainSession, input: GRPOStepInput): Promise<GRPOStep> {
  const { step, seed, slices, tokenBudget, temperature } = input;
  const all = slices.map(({ generation, places }) => {
    const { completions, step: born } = input.generation(generation);
    return Array.from(places, (place) => {
      const completion = completions[place] as GeneratedCompletion;
      const promptIds = (input.prompts[completion.row] as PromptRow).promptIds;
      // While no weight has changed since, the model is the one that wrote it: its ratios are 1 to the bit.
      return { completion, example: exampleOf(completion, promptIds), isOwn: born === step };
    });
  });
  const badRows: number[] = [];
  const found = new Map<number, GRPOStep["microBatches"][number]>();
  const of = (microBatch: number, sequences: readonly SequenceValues[]) => {
    const result = ofMicroBatch(input, slices[microBatch] as GenerationSlice, all[microBatch] ?? [], sequences);
    found.set(microBatch, result);
    return result;
  };
  const examples = all.map((rows) => rows.flatMap(({ example }) => (example === null ? [] : [example])));
  const phases = { step, seed, tokenBudget, temperature, collate, values: [], reference: null };
  await twoPhaseStep(session, { ...phases, microBatches: examples }, (microBatch, sequences) => {
    const { loss } = of(microBatch, sequences);
    for (const { logProbs, placed } of sequences)
      if (!logProbs.every(Number.isFinite)) badRows.push(placed.example.rowId);
    const isGood = Number.isFinite(loss.loss);
    // A loss that is not finite is a step that changes nothing: its gradient has to say so too.
    const slope = (values: Float64Array) => (isGood ? values : values.map(() => Number.NaN));
    const trained = (all[microBatch] ?? []).flatMap(({ example }, n) => (example === null ? [] : [n]));
    const derivatives = trained.map((n) => {
      const { logProbs, entropies } = loss.derivatives[n] as CompletionsLoss["derivatives"][number];
      return { logProbs: slope(logProbs), entropies };
    });
    return { derivatives, outcome: null };
  });
  const microBatches = slices.map((_, n) => found.get(n) ?? of(n, []));
  return { microBatches, badRows: [...new Set(badRows)] };
}

interface Row {
  completion: GeneratedCompletion;
  example: ReturnType<typeof exampleOf>;
  isOwn: boolean;
}

function ofMicroBatch(
  input: GRPOStepInput,
  { generation }: GenerationSlice,
  rows: readonly Row[],
  sequences: readonly SequenceValues[],
): GRPOStep["microBatches"][number] {
  let next = 0;
  const values = rows.map(({ completion, example, isOwn }): CompletionValues => {
    const { advantage, oldLogProbs, referenceLogProbs } = completion;
    const sequence = example === null ? undefined : sequences[next];
    if (example !== null) next += 1;
    if (sequence === undefined)
      return { logProbs: [], entropies: [], oldLogProbs: null, referenceLogProbs: null, advantage };
    const { logProbs, entropies } = sequence;
    return { logProbs, entropies, oldLogProbs: isOwn ? null : oldLogProbs, referenceLogProbs, advantage };
  });
  const { settings, stepsPerGeneration, slices, entropyCoef } = input;
  const generationTokens = input
    .generation(generation)
    .completions.reduce((sum, completion) => sum + trainedTokens(completion), 0);
  const scope = { generationTokens, stepsPerGeneration, microBatches: slices.length, entropyCoef };
  const loss = completionsLoss(values, settings, scope);
  const metrics: Record<string, MetricSums> & { loss: MetricSums } = {
    loss: { sum: loss.loss, weight: 1 },
    ...lossMetrics(values, loss.scores, settings),
  };
  return {
    outcome: {
      rowIds: rows.map(({ completion }) => completion.row),
      tokens: 0,
      metrics: metrics as MicroBatchOutcome<GRPOMetrics>["metrics"],
    },
    loss,
    hasGradient: loss.derivatives.some(({ logProbs }) => logProbs.some((slope) => slope !== 0)),
  };
}
