// A gate that closes slowly in place of a clip (SAPO, arXiv:2511.20347).
import type { PolicyTerm } from "./policy.ts";

/** −A·σ(τ(r − 1))·4/τ, with one temperature τ for what is to become likelier and one for the rest. */
export const sapoTerm: PolicyTerm = (
  { advantage },
  { ratios },
  { sapoTemperaturePos: positive, sapoTemperatureNeg: negative },
) => {
  const temperature = advantage > 0 ? positive : negative;
  return (token) => {
    const gate = 1 / (1 + Math.exp(-temperature * ((ratios[token] as number) - 1)));
    return {
      value: (-advantage * gate * 4) / temperature,
      byRatio: -advantage * gate * (1 - gate) * 4,
      byLogProb: 0,
    };
  };
};
