// What the model says of the supervised tokens of each sequence of a pass, and the way back from derivatives to coefficients.
import type { Batch, Coefficients, TokenValues } from "@tunesmith/core";
import { IGNORE_INDEX, type Placed } from "@tunesmith/data";

/** A sequence and its supervised tokens: every column has one value per such token, in their order. */
export interface SequenceValues {
  placed: Placed;
  /** Tokens of the sequence, as the batch has them. */
  ids: Int32Array;
  /** Where in `ids` the supervised tokens stand. */
  positions: Int32Array;
  /** Weight of each, as the rows gave it. */
  weights: Float32Array;
  /** log p, in nats. */
  logProbs: Float32Array;
  /** −Σ p · log p, in nats. */
  entropies: Float32Array;
  /** 1 where the token is the most likely one. */
  hits: Uint8Array;
  /** log Σ p²; empty where it was not asked for. */
  logSumSquares: Float32Array;
  /** Mean of the logits; empty where it was not asked for. */
  meanLogits: Float32Array;
  /** log p by the reference; null where none was asked for. */
  referenceLogProbs: Float32Array | null;
}

/** Derivatives of a loss by the values of a sequence's supervised tokens, in their order. */
export interface SequenceDerivatives {
  /** ∂loss / ∂logProb. */
  logProbs: ArrayLike<number>;
  /** ∂loss / ∂entropy. Absent is 0. */
  entropies?: ArrayLike<number> | undefined;
}

/** A packed pass: its sequences, and what goes through door B. */
export interface Pass {
  placed: readonly Placed[];
  batch: Batch;
}

/** Places in the batch of the supervised tokens of its n-th sequence; the first token of a sequence never counts. */
export function supervisedPlaces(
  { labels, sequenceStarts }: Pick<Batch, "labels" | "sequenceStarts">,
  n: number,
): Int32Array {
  const [first, end] = [sequenceStarts[n] as number, sequenceStarts[n + 1] as number];
  const places: number[] = [];
  for (let t = first + 1; t < end; t += 1) if (labels[t] !== IGNORE_INDEX) places.push(t);
  return Int32Array.from(places);
}

/**
 * The values of a pass by sequence.
 *
 * @param reference log p by the reference, `[T]`; null where none was asked for
 */
export function bySequence(
  { placed, batch }: Pass,
  values: TokenValues,
  reference: Float32Array | null,
): SequenceValues[] {
  return placed.map((entry, n) => {
    const places = supervisedPlaces(batch, n);
    const [first, end] = [batch.sequenceStarts[n] as number, batch.sequenceStarts[n + 1] as number];
    const pick = (column: Float32Array | undefined, absent: number) =>
      Float32Array.from(places, (t) => (column === undefined ? absent : (column[t] as number)));
    const onDemand = (column: Float32Array | undefined) =>
      column === undefined ? new Float32Array() : pick(column, 0);
    return {
      placed: entry,
      ids: batch.inputIds.slice(first, end),
      positions: places.map((t) => t - first),
      weights: pick(batch.weights, 1),
      logProbs: pick(values.logProb, 0),
      entropies: pick(values.entropy, 0),
      hits: Uint8Array.from(places, (t) => values.hit[t] as number),
      logSumSquares: onDemand(values.logSumSquares),
      meanLogits: onDemand(values.meanLogit),
      referenceLogProbs: reference === null ? null : pick(reference, 0),
    };
  });
}

/** Derivatives by sequence as coefficients of the whole pass. */
export function asCoefficients({ batch }: Pass, derivatives: readonly SequenceDerivatives[]): Coefficients {
  const logProb = new Float32Array(batch.labels.length);
  const hasEntropy = derivatives.some(({ entropies }) => entropies !== undefined);
  const entropy = hasEntropy ? new Float32Array(batch.labels.length) : null;
  for (const [n, { logProbs, entropies }] of derivatives.entries()) {
    for (const [index, t] of supervisedPlaces(batch, n).entries()) {
      logProb[t] = logProbs[index] ?? 0;
      if (entropy !== null) entropy[t] = entropies?.[index] ?? 0;
    }
  }
  return { logProb, ...(entropy !== null && { entropy }) };
}
