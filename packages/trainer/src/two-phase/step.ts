// Forward, a function in TypeScript, backward: the gradient of a loss that is a function of the values of a whole micro-batch.
import type { Batch, StepKey, TokenValueName, TrainSession } from "@tunesmith/core";
import { coalesce, type Example, type Placed } from "@tunesmith/data";
import type { ReferenceModel } from "./reference.ts";
import {
  asCoefficients,
  bySequence,
  type Pass,
  type SequenceDerivatives,
  type SequenceValues,
} from "./sequence-values.ts";

/** The micro-batches of a step, and what their values come from. */
export interface TwoPhaseInput extends StepKey {
  microBatches: readonly (readonly Example[])[];
  /** Tokens of a pass. */
  tokenBudget: number;
  /** Makes the batch of a pass. */
  collate: (sequences: readonly Placed[]) => Batch;
  /** Values besides those that there always are. */
  values: readonly TokenValueName[];
  /** Of the distribution that the values are of. Default 1. */
  temperature?: number;
  /** Null: no reference is asked. */
  reference: ReferenceModel | null;
}

/** What a micro-batch comes to: the derivatives of its loss, one entry per sequence, and what is to be known of it. */
export interface MicroBatchDerivatives<T> {
  derivatives: readonly SequenceDerivatives[];
  outcome: T;
}

/** Called once per micro-batch, in their order, with all of its sequences in theirs. */
export type Between<T> = (
  microBatch: number,
  sequences: readonly SequenceValues[],
) => MicroBatchDerivatives<T> | Promise<MicroBatchDerivatives<T>>;

/**
 * Leaves the summed gradient of all micro-batches in the session and gives what each came to. Micro-batches share a pass where the budget
 * allows; one that needs several passes is computed forward once more, since its derivatives need the values of all of them. Where
 * anything fails the gradient is thrown away: the session is as it was before.
 */
export async function twoPhaseStep<T>(session: TrainSession, input: TwoPhaseInput, between: Between<T>): Promise<T[]> {
  const { microBatches, tokenBudget, collate, reference } = input;
  const passes = coalesce(microBatches, tokenBudget).map((placed): Pass => ({ placed, batch: collate(placed) }));
  // Before anything is summed: while a gradient is there, a schedule-free optimizer has no room for another point.
  const referenceOf = reference === null ? null : await reference.logProbs(session, passes);
  try {
    const outcomes: T[] = [];
    for (const group of groupsOf(passes)) {
      const columns = group.map((pass) => referenceOf?.[passes.indexOf(pass)] ?? null);
      outcomes.push(...(await oneGroup(session, { ...input, group, columns }, between)));
    }
    return outcomes;
  } catch (error) {
    // What it fails with after that says less than what failed first.
    await session.discardGradient().catch(() => []);
    throw error;
  }
}

/** Passes that have to be known together: those between which a micro-batch goes on. */
export function groupsOf(passes: readonly Pass[]): Pass[][] {
  const groups: Pass[][] = [];
  let last = -1;
  for (const pass of passes) {
    const first = pass.placed[0]?.microBatch;
    if (first === last) groups.at(-1)?.push(pass);
    else groups.push([pass]);
    last = pass.placed.at(-1)?.microBatch ?? -1;
  }
  return groups;
}

interface Group extends TwoPhaseInput {
  group: readonly Pass[];
  /** log p by the reference, of each pass. */
  columns: readonly (Float32Array | null)[];
}

async function oneGroup<T>(session: TrainSession, input: Group, between: Between<T>): Promise<T[]> {
  const { group, columns, step, seed, values, temperature = 1 } = input;
  const found: SequenceValues[][] = [];
  for (const [n, pass] of group.entries())
    found.push(
      bySequence(pass, await session.forward(pass.batch, { step, seed, values, temperature }), columns[n] ?? null),
    );
  const { outcomes, derivatives } = await ofMicroBatches(found.flat(), between);
  const ofPasses = byPass(group, derivatives);
  // The last forward still waits for its backward; the others are computed again, by the same random numbers.
  for (const [n, pass] of [...group.entries()].reverse()) {
    if (n < group.length - 1) await session.forward(pass.batch, { step, seed, temperature });
    await session.backward(asCoefficients(pass, ofPasses[n] ?? []));
  }
  return outcomes;
}

/** The derivatives of each pass, out of those of all their sequences. */
function byPass(group: readonly Pass[], derivatives: readonly SequenceDerivatives[]): SequenceDerivatives[][] {
  let end = 0;
  return group.map(({ placed }) => {
    end += placed.length;
    return derivatives.slice(end - placed.length, end);
  });
}

/** Asks for each micro-batch of some sequences; the derivatives are in the order of the sequences. */
export async function ofMicroBatches<T>(
  sequences: readonly SequenceValues[],
  between: Between<T>,
): Promise<{ outcomes: T[]; derivatives: SequenceDerivatives[] }> {
  const outcomes: T[] = [];
  const derivatives: SequenceDerivatives[] = [];
  for (let start = 0; start < sequences.length; ) {
    const microBatch = sequences[start]?.placed.microBatch ?? 0;
    const beyond = sequences.findIndex(({ placed }, n) => n > start && placed.microBatch !== microBatch);
    const end = beyond === -1 ? sequences.length : beyond;
    const given = await between(microBatch, sequences.slice(start, end));
    outcomes.push(given.outcome);
    derivatives.push(...given.derivatives);
    start = end;
  }
  return { outcomes, derivatives };
}
