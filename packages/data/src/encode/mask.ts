// Labels: which tokens are trained.
import type { EncodedConversation } from "@tunesmith/core";

/** Label of a token that is not trained on: PyTorch's ignore_index. This file is the only one that gives it to a token. */
export const IGNORE_INDEX = -100;

/** Every token is trained. */
export function labelAll(ids: Int32Array): Int32Array {
  return ids.slice();
}

/**
 * Only what the assistant wrote is trained: the spans of the turns that `isTrained` accepts.
 *
 * @param isTrained decides by the index of the turn in `messages`
 */
export function labelAssistant(encoded: EncodedConversation, isTrained: (turn: number) => boolean): Int32Array {
  const labels = new Int32Array(encoded.ids.length).fill(IGNORE_INDEX);
  for (const [index, turn] of encoded.turns.entries()) {
    if (!isTrained(turn)) continue;
    const [start, end] = encoded.spans.subarray(2 * index, 2 * index + 2);
    labels.set(encoded.ids.subarray(start, end), start);
  }
  return labels;
}

/** Only what follows the prompt is trained. */
export function labelCompletion(ids: Int32Array, promptLength: number): Int32Array {
  return ids.slice().fill(IGNORE_INDEX, 0, promptLength);
}

/** The tokens that are marked are trained: `[length]`. */
export function labelWhere(ids: Int32Array, isTrained: readonly boolean[]): Int32Array {
  return ids.map((id, t) => (isTrained[t] === true ? id : IGNORE_INDEX));
}

/** Labels that count: position 0 is predicted from nothing, so it never does. */
export function countTrained(labels: Int32Array): number {
  let count = 0;
  for (let t = 1; t < labels.length; t += 1) if (labels[t] !== IGNORE_INDEX) count += 1;
  return count;
}
