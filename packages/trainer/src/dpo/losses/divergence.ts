// What takes the place of the reverse Kullback-Leibler divergence (f-DPO, arXiv:2309.16240).

import { logSigmoid, sigmoid } from "./answers.ts";
import type { DPOConfigDivergence } from "./settings.ts";

/** The exponent is held below it, as TRL does in 32 bits. */
const largestExponent = 80;

/** F(u) and its derivative, for u = π − ρ of an answer. */
export function divergence({ fDivergenceType, fAlphaDivergenceCoef: alpha }: DPOConfigDivergence, ratio: number) {
  switch (fDivergenceType) {
    case "reverse_kl":
      return { value: ratio, slope: 1 };
    case "forward_kl":
      return { value: 1 - Math.exp(-ratio), slope: Math.exp(-ratio) };
    case "js_divergence":
      return { value: Math.LN2 + logSigmoid(ratio), slope: sigmoid(-ratio) };
    case "alpha_divergence": {
      if (alpha === 1) return { value: ratio, slope: 1 };
      const exponent = (alpha - 1) * ratio;
      const power = Math.exp(Math.min(exponent, largestExponent));
      return { value: (power - 1) / (alpha - 1), slope: exponent > largestExponent ? 0 : power };
    }
  }
}
