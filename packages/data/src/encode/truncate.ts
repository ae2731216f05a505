// What is kept of a sequence that is longer than it may be.
import { IGNORE_INDEX } from "./mask.ts";

/** What is done with a sequence of more than `maxLength` tokens (TRL's `truncation_mode`, and two more). */
export type TruncationMode = "keep_start" | "keep_end" | "drop" | "error";

/** The arrays of a sequence. */
export interface Sequence {
  ids: Int32Array;
  labels: Int32Array;
  weights?: Float32Array;
}

/** Tokens that were cut off. */
export interface CutTokens {
  /** Without a label: prompts, and whatever else is context. */
  prompt: number;
  /** With a label. */
  answer: number;
}

/** A sequence that fits, and what was cut off it. */
export interface Truncated extends Sequence {
  cut: CutTokens;
}

/** The start or the end of a sequence. Arrays are copied, so that nothing holds what was cut off. */
export function truncate(sequence: Sequence, maxLength: number, mode: "keep_start" | "keep_end"): Truncated {
  const length = sequence.ids.length;
  if (length <= maxLength) return { ...sequence, cut: { prompt: 0, answer: 0 } };
  const from = mode === "keep_start" ? 0 : length - maxLength;
  const lost =
    mode === "keep_start" ? sequence.labels.subarray(maxLength) : sequence.labels.subarray(0, length - maxLength);
  const answer = lost.reduce((count, label) => count + (label === IGNORE_INDEX ? 0 : 1), 0);
  const { ids, labels, weights } = sequence;
  return {
    ids: ids.slice(from, from + maxLength),
    labels: labels.slice(from, from + maxLength),
    ...(weights !== undefined && { weights: weights.slice(from, from + maxLength) }),
    cut: { prompt: lost.length - answer, answer },
  };
}
