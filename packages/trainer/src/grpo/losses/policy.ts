// The policy term of a token, by the name of the loss.
import { clippedTerm } from "./clipped.ts";
import type { CompletionValues } from "./completion.ts";
import type { Importance } from "./importance.ts";
import { sapoTerm } from "./sapo.ts";
import type { GRPOLossType, PolicySettings } from "./settings.ts";
import { cispoTerm, vespoTerm } from "./weighted.ts";

/** What a token adds to the loss, and the derivatives of that; `byLogProb` is what does not go through the ratio. */
export interface TokenTerm {
  value: number;
  byRatio: number;
  byLogProb: number;
}

/** The terms of a completion's tokens, one at a time. */
export type PolicyTerm = (
  completion: CompletionValues,
  importance: Importance,
  settings: PolicySettings,
) => (token: number) => TokenTerm;

/** What the sum over a completion, or over all, is divided by. */
export type Normalizer = "rowTokens" | "tokens" | "maxLength" | "rows" | "generationTokens";

/** Every loss: its term, and what is divided by. */
export const policies: Readonly<Record<GRPOLossType, { term: PolicyTerm; normalizer: Normalizer }>> = {
  grpo: { term: clippedTerm, normalizer: "rowTokens" },
  bnpo: { term: clippedTerm, normalizer: "tokens" },
  dr_grpo: { term: clippedTerm, normalizer: "maxLength" },
  dapo: { term: clippedTerm, normalizer: "generationTokens" },
  luspo: { term: clippedTerm, normalizer: "rows" },
  sapo: { term: sapoTerm, normalizer: "rowTokens" },
  cispo: { term: cispoTerm, normalizer: "generationTokens" },
  vespo: { term: vespoTerm, normalizer: "generationTokens" },
};

/** Whether a loss clips the ratio within 1 − epsilon and 1 + epsilonHigh. */
export function isClipped(name: GRPOLossType): boolean {
  return policies[name].term === clippedTerm;
}
