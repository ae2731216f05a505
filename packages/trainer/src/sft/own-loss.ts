// A step and an evaluation of a run that minimises a program's own objective.
import type { Generator, TrainSession } from "@tunesmith/core";
import { coalesce } from "@tunesmith/data";
import { total } from "../loop/metrics.ts";
import type { MicroBatchOutcome, StepOutcome } from "../loop/recipe.ts";
import { adapterOff } from "../two-phase/reference.ts";
import { bySequence, type Pass, type SequenceValues } from "../two-phase/sequence-values.ts";
import { type MicroBatchDerivatives, ofMicroBatches, twoPhaseStep } from "../two-phase/step.ts";
import { checkedLoss, type LossPlace } from "./checked-loss.ts";
import { collateWith } from "./collator.ts";
import type { OwnLoss } from "./compute-loss.ts";
import type { SFTMetrics } from "./metrics.ts";
import type { StepInput } from "./step.ts";

type Outcome = MicroBatchOutcome<SFTMetrics>;

/** Leaves the gradient of a program's own objective in the session. */
export async function ownLossStep(
  session: TrainSession,
  own: OwnLoss,
  { step, seed, microBatches, tokenBudget, collator }: Omit<StepInput, "objective">,
  locate: LossPlace["locate"],
): Promise<StepOutcome<SFTMetrics>> {
  const reference = own.referenceLogProbs ? adapterOff : null;
  const collate = (placed: Pass["placed"]) => collateWith(collator, placed);
  const input = { step, seed, microBatches, tokenBudget, collate, values: [], reference };
  const badRows: number[] = [];
  const outcomes = await twoPhaseStep(session, input, (microBatch, sequences) => {
    const bad = sequences.filter((sequence) => !allFinite(sequence)).map(({ placed }) => placed.example.rowId);
    badRows.push(...bad);
    return bad.length > 0 ? notFinite(sequences) : asked(own, sequences, { step, microBatch, locate });
  });
  const denominator = total(outcomes, ({ metrics }) => metrics.loss.weight);
  // Where it is 0 every derivative is: any denominator but 0 keeps it so.
  return { microBatches: outcomes, denominator: denominator === 0 ? 1 : denominator, badRows };
}

/** What a program's own objective comes to on held-out batches. Throws the signal's reason between two passes. */
export async function ownLossEvaluation(
  session: Generator,
  own: OwnLoss,
  { microBatches, tokenBudget, collator }: Pick<StepInput, "microBatches" | "tokenBudget" | "collator">,
  { locate, signal }: Pick<LossPlace, "locate"> & { signal: AbortSignal | undefined },
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [microBatch, examples] of microBatches.entries()) {
    const passes = coalesce([examples], tokenBudget).map((placed): Pass => {
      const here = placed.map(({ example }) => ({ example, microBatch }));
      return { placed: here, batch: collateWith(collator, here) };
    });
    signal?.throwIfAborted();
    const reference = own.referenceLogProbs ? await adapterOff.logProbs(session, passes) : null;
    const sequences: SequenceValues[] = [];
    for (const [n, pass] of passes.entries()) {
      signal?.throwIfAborted();
      sequences.push(...bySequence(pass, await session.logProbs(pass.batch), reference?.[n] ?? null));
    }
    const asking = (_: number, all: readonly SequenceValues[]) =>
      all.every(allFinite) ? asked(own, all, { step: null, microBatch, locate }) : notFinite(all);
    outcomes.push(...(await ofMicroBatches(sequences, asking)).outcomes);
  }
  return outcomes;
}

async function asked(
  own: OwnLoss,
  sequences: readonly SequenceValues[],
  place: LossPlace,
): Promise<MicroBatchDerivatives<Outcome>> {
  const { loss, denominator, derivatives } = await checkedLoss(own, sequences, place);
  return { derivatives, outcome: outcomeOf(sequences, { sum: loss, weight: denominator }) };
}

/** A micro-batch of a model that has diverged: nothing to ask about, and no update to take. */
function notFinite(sequences: readonly SequenceValues[]): MicroBatchDerivatives<Outcome> {
  return {
    derivatives: sequences.map(({ logProbs }) => ({ logProbs: logProbs.map(() => Number.NaN) })),
    outcome: outcomeOf(sequences, { sum: Number.NaN, weight: 1 }),
  };
}

function outcomeOf(sequences: readonly SequenceValues[], loss: { sum: number; weight: number }): Outcome {
  const weight = total(sequences, ({ logProbs }) => logProbs.length);
  const sum = (pick: (sequence: SequenceValues) => ArrayLike<number>) =>
    total(sequences, (sequence) => total(Array.from(pick(sequence)), Number));
  return {
    rowIds: sequences.map(({ placed }) => placed.example.rowId),
    tokens: total(sequences, ({ placed }) => placed.example.length),
    metrics: {
      loss,
      meanTokenAccuracy: { sum: sum(({ hits }) => hits), weight },
      entropy: { sum: sum(({ entropies }) => entropies), weight },
    },
  };
}

function allFinite({ logProbs, referenceLogProbs }: SequenceValues): boolean {
  return logProbs.every(Number.isFinite) && (referenceLogProbs?.every(Number.isFinite) ?? true);
}
