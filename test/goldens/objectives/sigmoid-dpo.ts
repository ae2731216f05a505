// DPO's sigmoid loss as a program's own objective; docs/objectives.md shows it.
import type { ReferenceLoss } from "@tunesmith/trainer";

/**
 * DPO (arXiv:2305.18290): −log σ(β · margin) of every pair. The first half of a micro-batch are chosen answers, the second half the
 * rejected ones in the same order.
 */
export function sigmoidDpo(beta: number): ReferenceLoss {
  const sum = (values: Float32Array) => values.reduce((total, value) => total + value, 0);
  return {
    referenceLogProbs: true,
    compute: ({ rows }) => {
      const pairs = rows.length / 2;
      const gains = rows.map(({ logProbs, referenceLogProbs }) => sum(logProbs) - sum(referenceLogProbs));
      const slopes = new Float64Array(rows.length);
      let loss = 0;
      for (let pair = 0; pair < pairs; pair += 1) {
        const margin = beta * ((gains[pair] ?? 0) - (gains[pair + pairs] ?? 0));
        loss += Math.log1p(Math.exp(-margin));
        slopes[pair] = -beta / (1 + Math.exp(margin));
        slopes[pair + pairs] = beta / (1 + Math.exp(margin));
      }
      return {
        loss,
        denominator: pairs,
        logProbGradients: rows.map(({ logProbs }, row) => logProbs.map(() => slopes[row] ?? 0)),
      };
    },
  };
}
