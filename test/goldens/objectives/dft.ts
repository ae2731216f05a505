// Dynamic fine-tuning as a program's own objective; docs/objectives.md shows it.
import type { LossFunction } from "@tunesmith/trainer";

/** Dynamic fine-tuning (arXiv:2508.05629): −p · log p of every supervised token, p taken as a constant. */
export const dft: LossFunction = ({ rows }) => {
  let loss = 0;
  let tokens = 0;
  for (const { logProbs } of rows) {
    for (const logProb of logProbs) loss -= Math.exp(logProb) * logProb;
    tokens += logProbs.length;
  }
  return {
    loss,
    denominator: tokens,
    logProbGradients: rows.map(({ logProbs }) => logProbs.map((logProb) => -Math.exp(logProb))),
  };
};
