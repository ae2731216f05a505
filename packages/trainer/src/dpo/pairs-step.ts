// Pairs of answers through the model: the gradient of a step, and the numbers of an evaluation.
import type { Generator, TokenValueName, TrainSession } from "@tunesmith/core";
import { coalesce, collate, type Example } from "@tunesmith/data";
import type { MetricSums } from "../loop/metrics.ts";
import { total } from "../loop/metrics.ts";
import type { MicroBatchOutcome, StepOutcome } from "../loop/recipe.ts";
import type { ReferenceModel } from "../two-phase/reference.ts";
import { bySequence, type Pass, type SequenceDerivatives, type SequenceValues } from "../two-phase/sequence-values.ts";
import { type MicroBatchDerivatives, twoPhaseStep } from "../two-phase/step.ts";
import type { AnswerValues } from "./losses/answers.ts";
import { pairsLoss } from "./losses/loss.ts";
import type { DPOLossSettings } from "./losses/settings.ts";
import { type DPOMetrics, pairMetrics } from "./metrics.ts";

/** Micro-batches of pairs: of each pair the chosen answer, then the rejected one. */
export interface PairsInput {
  microBatches: readonly (readonly Example[])[];
  tokenBudget: number;
  settings: DPOLossSettings;
  reference: ReferenceModel;
}

type Outcome = MicroBatchOutcome<DPOMetrics>;

/** Leaves the gradient of a step in the session: the mean over its micro-batches of each one's loss (TRL). */
export async function pairsStep(
  session: TrainSession,
  { microBatches, tokenBudget, settings, reference }: PairsInput,
  key: { step: number; seed: number },
): Promise<StepOutcome<DPOMetrics>> {
  const input = { ...key, microBatches, tokenBudget, collate, values: valuesFor(settings), reference };
  const outcomes = await twoPhaseStep(session, input, (_, sequences) => ofPairs(sequences, settings));
  const badRows = outcomes.flatMap(({ bad }) => bad);
  return { microBatches: outcomes.map(({ outcome }) => outcome), denominator: Math.max(1, outcomes.length), badRows };
}

/** The numbers of held-out batches. Throws the signal's reason between two passes. */
export async function pairsEvaluation(
  session: Generator,
  { microBatches, tokenBudget, settings, reference }: PairsInput,
  signal: AbortSignal,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const examples of microBatches) {
    const passes = coalesce([examples], tokenBudget).map((placed): Pass => ({ placed, batch: collate(placed) }));
    signal.throwIfAborted();
    const columns = await reference.logProbs(session, passes);
    const sequences: SequenceValues[] = [];
    for (const [n, pass] of passes.entries()) {
      signal.throwIfAborted();
      const values = await session.logProbs(pass.batch, { values: valuesFor(settings) });
      sequences.push(...bySequence(pass, values, columns[n] ?? null));
    }
    outcomes.push(ofPairs(sequences, settings).outcome.outcome);
  }
  return outcomes;
}

function valuesFor({ useWeighting }: DPOLossSettings): TokenValueName[] {
  return useWeighting ? ["meanLogit", "logSumSquares"] : ["meanLogit"];
}

/** What a micro-batch comes to: derivatives of its loss, numbers, and rows whose values are not finite. */
function ofPairs(
  sequences: readonly SequenceValues[],
  settings: DPOLossSettings,
): MicroBatchDerivatives<{ outcome: Outcome; bad: number[] }> {
  const pairs = Array.from({ length: sequences.length / 2 }, (_, n) => ({
    chosen: answerOf(sequences[2 * n] as SequenceValues),
    rejected: answerOf(sequences[2 * n + 1] as SequenceValues),
  }));
  const { loss, derivatives, scores } = pairsLoss(pairs, settings);
  const bad = sequences
    .filter(({ logProbs }) => !logProbs.every(Number.isFinite))
    .map(({ placed }) => placed.example.rowId);
  // A loss that is not finite is a step that changes nothing: its gradient has to say so too.
  const slope = (values: Float64Array): SequenceDerivatives => ({
    logProbs: Number.isFinite(loss) ? values : values.map(() => Number.NaN),
  });
  const metrics: Record<keyof DPOMetrics["log"], MetricSums> = {
    loss: { sum: loss, weight: 1 },
    ...pairMetrics(pairs, scores, settings.beta),
  };
  return {
    derivatives: derivatives.flatMap(({ chosen, rejected }) => [slope(chosen), slope(rejected)]),
    outcome: {
      outcome: {
        rowIds: sequences.filter((_, n) => n % 2 === 0).map(({ placed }) => placed.example.rowId),
        tokens: total(sequences, ({ placed }) => placed.example.length),
        metrics,
      },
      bad: [...new Set(bad)],
    },
  };
}

function answerOf(sequence: SequenceValues): SequenceValues & AnswerValues {
  return { ...sequence, referenceLogProbs: sequence.referenceLogProbs ?? sequence.logProbs };
}
