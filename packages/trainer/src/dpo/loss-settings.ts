// What the options of preference optimization come to, and which of them contradict each other.
import { OptionError, type ParsedDPOConfig, plural } from "@tunesmith/core";
import { isMarginLoss } from "./losses/margin.ts";
import type { DPOLossSettings, DPOLossType } from "./losses/settings.ts";

/** What is minimised. Options that TRL refuses together are an `OptionError`. */
export function lossSettings(args: ParsedDPOConfig): DPOLossSettings {
  const { lossWeights, beta, fDivergenceType, fAlphaDivergenceCoef } = args;
  const { labelSmoothing, ldAlpha, useWeighting, discopopTau } = args;
  const lossType = [args.lossType].flat();
  if (lossWeights !== null && lossWeights.length !== lossType.length)
    refuse(
      "lossWeights",
      `${plural(lossType.length, "number")}, one per loss of lossType`,
      lossWeights.length,
      "give as many",
    );
  for (const name of lossType) {
    if (fDivergenceType !== "reverse_kl" && name !== "sft" && !isMarginLoss(name))
      refuse("fDivergenceType", `reverse_kl with ${name}`, fDivergenceType, "choose another loss or divergence");
    if (useWeighting && unweighted.includes(name))
      refuse("useWeighting", `false with ${name}, which has no loss of a single pair`, true, "leave it out");
    if (name === "exo_pair" && labelSmoothing === 0)
      refuse("labelSmoothing", "a number above 0 with exo_pair (1e-3 in its paper)", 0, "set it");
    if ((name === "robust" || name === "exo_pair") && labelSmoothing === 0.5)
      refuse("labelSmoothing", `a number below 0.5 with ${name}`, labelSmoothing, "lower it");
  }
  const divergence = { fDivergenceType, fAlphaDivergenceCoef };
  return { lossType, lossWeights, beta, ...divergence, labelSmoothing, ldAlpha, useWeighting, discopopTau };
}

/** Losses that weights of pairs cannot apply to. */
const unweighted: readonly DPOLossType[] = ["aot", "aot_unpaired", "sft"];

function refuse(option: string, expected: string, got: unknown, advice: string): never {
  throw new OptionError(`[${option}] expected ${expected}, got ${JSON.stringify(got)}; ${advice}`);
}
