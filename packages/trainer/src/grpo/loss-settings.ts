// What the options of group relative policy optimization come to, and which of them contradict each other.
import { OptionError, type ParsedGRPOConfig } from "@tunesmith/core";
import { isClipped } from "./losses/policy.ts";
import type { GRPOLossSettings } from "./losses/settings.ts";

/** What is minimised. Options that would have no effect, or none that is meant, are an `OptionError`. */
export function lossSettings(args: ParsedGRPOConfig): GRPOLossSettings {
  const { lossType, epsilon, epsilonHigh, delta, useAdaptiveEntropy, entropyCoefMin, entropyCoefMax } = args;
  if (delta !== null && !isClipped(lossType))
    refuse("delta", `none with ${lossType}, which has no clip`, delta, "leave it out, or choose a loss that clips");
  if (useAdaptiveEntropy && entropyCoefMin > entropyCoefMax)
    refuse("entropyCoefMin", `at most entropyCoefMax ${entropyCoefMax}`, entropyCoefMin, "lower it");
  return {
    ...{ lossType, epsilon, delta, epsilonHigh: epsilonHigh ?? epsilon },
    importanceSamplingLevel: args.importanceSamplingLevel,
    beta: args.beta,
    useBiasCorrectionKl: args.useBiasCorrectionKl,
    topEntropyQuantile: args.topEntropyQuantile,
    offPolicyMaskThreshold: args.offPolicyMaskThreshold,
    sapoTemperaturePos: args.sapoTemperaturePos,
    sapoTemperatureNeg: args.sapoTemperatureNeg,
    vespoKPos: args.vespoKPos,
    vespoLambdaPos: args.vespoLambdaPos,
    vespoKNeg: args.vespoKNeg,
    vespoLambdaNeg: args.vespoLambdaNeg,
    maxCompletionLength: args.maxCompletionLength,
  };
}

/** What is taken as it was asked for, though it is rarely meant. */
export function doubtfulLoss(args: ParsedGRPOConfig): string[] {
  const { lossType, epsilon, epsilonHigh, delta, importanceSamplingLevel } = args;
  const high = 1 + (epsilonHigh ?? epsilon);
  return [
    ...(lossType === "cispo" && (epsilonHigh ?? epsilon) < 1
      ? [
          `epsilonHigh is ${epsilonHigh ?? epsilon}: with cispo it is the bound of the ratio itself, so every token is weighed by less than 1; its paper takes 5`,
        ]
      : []),
    ...(lossType === "luspo" && importanceSamplingLevel === "token"
      ? ["luspo is made for ratios of whole completions: give importanceSamplingLevel sequence"]
      : []),
    ...(delta !== null && delta <= high
      ? [`delta ${delta} is not above 1 + epsilonHigh = ${high}, so that it cuts ratios which the clip leaves alone`]
      : []),
  ];
}

function refuse(option: string, expected: string, got: unknown, advice: string): never {
  throw new OptionError(`[${option}] expected ${expected}, got ${JSON.stringify(got)}; ${advice}`);
}
