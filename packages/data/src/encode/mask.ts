// Labels and weights: which tokens are trained, and how much each of them counts.
import type { EncodedConversation } from "@tunesmith/core";

/** Label of a token that is not trained on: PyTorch's ignore_index. This file is the only one that gives it to a token. */
export const IGNORE_INDEX = -100;

/** Which tokens of a sequence are trained, and how much each counts. */
export interface Supervision {
  /** The id of a token that is trained, else {@link IGNORE_INDEX}: `[length]`. */
  labels: Int32Array;
  /** Loss weight per token, 0 where there is no label: `[length]`. Absent where every label counts 1. */
  weights?: Float32Array;
}

/** Tokens that are trained as much as their weights say: `[length]`. One of weight 0 has no label: it is not in the loss, nor in any metric. */
export function supervise(ids: Int32Array, weights: Float32Array): Supervision {
  const labels = new Int32Array(ids.length);
  let isPlain = true;
  for (let t = 0; t < ids.length; t += 1) {
    const weight = weights[t];
    labels[t] = weight === 0 ? IGNORE_INDEX : (ids[t] as number);
    isPlain &&= weight === 0 || weight === 1;
  }
  return isPlain ? { labels } : { labels, weights };
}

/** Every token is trained. */
export function labelAll(ids: Int32Array): Supervision {
  return { labels: ids.slice() };
}

/**
 * What the assistant wrote is trained: the spans of its turns.
 *
 * @param weightOf weight of a turn, by its index in `messages`
 * @param otherWeight weight of the tokens that the assistant did not write
 * @param left ranges inside of turns that are left out, and their weight in a turn
 */
export function labelAssistant(
  { ids, spans, turns }: Pick<EncodedConversation, "ids" | "spans" | "turns">,
  weightOf: (turn: number) => number,
  otherWeight: number,
  left: LeftOut = { ranges: [], weightOf },
): Supervision {
  const weights = new Float32Array(ids.length).fill(otherWeight);
  for (const [index, turn] of turns.entries()) {
    const [start, end] = [spans[2 * index], spans[2 * index + 1]] as [number, number];
    weights.fill(weightOf(turn), start, end);
    for (const ranges of left.ranges)
      for (let at = 0; at < ranges.length; at += 2) {
        const [from, to] = [Math.max(start, ranges[at] as number), Math.min(end, ranges[at + 1] as number)];
        if (from < to) weights.fill(left.weightOf(turn), from, to);
      }
  }
  return supervise(ids, weights);
}

/** Parts of turns that are not trained as their turns are. */
export interface LeftOut {
  /** Token ranges: start, end, start, end, … */
  ranges: readonly Int32Array[];
  /** Weight of their tokens, by the index of their turn in `messages`. */
  weightOf: (turn: number) => number;
}

/** What follows the prompt is trained, and the prompt as much as its weight says. */
export function labelCompletion(ids: Int32Array, promptLength: number, promptWeight: number): Supervision {
  return supervise(ids, new Float32Array(ids.length).fill(1).fill(promptWeight, 0, promptLength));
}

/** The same tokens, each counting `factor` times as much. */
export function weighted({ ids, labels, weights }: Supervision & { ids: Int32Array }, factor: number): Supervision {
  const before = weights ?? Float32Array.from(labels, (label) => (label === IGNORE_INDEX ? 0 : 1));
  return supervise(
    ids,
    before.map((weight) => weight * factor),
  );
}

/** Labels that count: position 0 is predicted from nothing, so it never does. */
export function countTrained(labels: Int32Array): number {
  let count = 0;
  for (let t = 1; t < labels.length; t += 1) if (labels[t] !== IGNORE_INDEX) count += 1;
  return count;
}
