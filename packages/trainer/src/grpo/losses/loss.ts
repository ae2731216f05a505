// The loss of a micro-batch of completions, and its derivative by every log-probability and entropy.
import { type CompletionValues, tokensOf } from "./completion.ts";
import { k3 } from "./divergence.ts";
import { type Importance, importanceOf, sum } from "./importance.ts";
import { entropyThreshold, isOffPolicy } from "./masks.ts";
import { policies } from "./policy.ts";
import type { GRPOLossSettings, LossScope } from "./settings.ts";

/** Derivatives of the loss by the values of a completion's trained tokens. */
export interface CompletionDerivatives {
  logProbs: Float64Array;
  /** Absent where the loss does not depend on them. */
  entropies?: Float64Array;
}

/** What one completion adds, before anything is divided. */
export interface CompletionScore {
  importance: Importance;
  /** Divergence of each token, times its ratio where that is asked for; empty without a reference. */
  divergences: Float64Array;
}

/** What a micro-batch comes to. */
export interface CompletionsLoss {
  /** Before division by the micro-batches of a step; the entropy bonus included. */
  loss: number;
  /** The same without the entropy bonus, as TRL logs it: where the generation is divided by, after division by the micro-batches too. */
  policyLoss: number;
  /** Entropy of the tokens that the bonus counts: those that have a policy term by their entropy. */
  entropy: { sum: number; tokens: number };
  derivatives: CompletionDerivatives[];
  scores: CompletionScore[];
}

/** The loss of a micro-batch of completions. */
export function completionsLoss(
  completions: readonly CompletionValues[],
  settings: GRPOLossSettings,
  scope: LossScope,
): CompletionsLoss {
  const threshold = entropyThreshold(completions, settings.topEntropyQuantile);
  const rows = completions.map((completion) => ofCompletion(completion, settings, threshold));
  const divisors = divisorsOf(completions, settings, scope);
  const kept = completions.flatMap(({ entropies }) => Array.from(entropies).filter((entropy) => entropy >= threshold));
  const entropy = { sum: sum(kept), tokens: kept.length };
  const slope = scope.entropyCoef / Math.max(1, kept.length);
  const derivatives = completions.map(
    ({ entropies }, n): CompletionDerivatives => ({
      logProbs: (rows[n] as Row).slopes.map((value) => value / (divisors[n] as number)),
      ...(scope.entropyCoef !== 0 && {
        entropies: Float64Array.from(entropies, (value) => (value >= threshold ? -slope : 0)),
      }),
    }),
  );
  const policyLoss = sum(rows.map(({ values }, n) => sum(values) / (divisors[n] as number)));
  const scores = rows.map(({ score }) => score);
  const isShared = policies[settings.lossType].normalizer === "generationTokens";
  return {
    loss: policyLoss - slope * entropy.sum,
    policyLoss: isShared ? policyLoss / scope.microBatches : policyLoss,
    ...{ entropy, derivatives, scores },
  };
}

interface Row {
  values: Float64Array;
  slopes: Float64Array;
  score: CompletionScore;
}

function ofCompletion(completion: CompletionValues, settings: GRPOLossSettings, threshold: number): Row {
  const { logProbs, entropies, referenceLogProbs } = completion;
  const importance = importanceOf(completion, settings);
  const length = logProbs.length;
  const [values, direct, byRatio] = [new Float64Array(length), new Float64Array(length), new Float64Array(length)];
  if (!isOffPolicy(completion, settings)) {
    const term = policies[settings.lossType].term(completion, importance, settings);
    for (let t = 0; t < length; t += 1) {
      if ((entropies[t] ?? 0) < threshold) continue;
      const { value, byRatio: throughRatio, byLogProb } = term(t);
      values[t] = value;
      direct[t] = byLogProb;
      byRatio[t] = throughRatio;
    }
  }
  const { beta, useBiasCorrectionKl } = settings;
  const divergences = new Float64Array(beta === 0 || referenceLogProbs === null ? 0 : length);
  for (const t of divergences.keys()) {
    const ratio = useBiasCorrectionKl ? (importance.ratios[t] as number) : 1;
    const { value, slope } = k3(logProbs[t] as number, referenceLogProbs?.[t] as number);
    divergences[t] = value * ratio;
    values[t] = (values[t] as number) + beta * value * ratio;
    direct[t] = (direct[t] as number) + beta * slope * ratio;
    if (useBiasCorrectionKl) byRatio[t] = (byRatio[t] as number) + beta * value;
  }
  const throughRatio = importance.byLogProb(byRatio);
  const slopes = direct.map((slope, t) => slope + (throughRatio[t] as number));
  return { values, slopes, score: { importance, divergences } };
}

/** What the sum over each completion is divided by. */
function divisorsOf(
  completions: readonly CompletionValues[],
  { lossType, maxCompletionLength }: GRPOLossSettings,
  { generationTokens, stepsPerGeneration }: LossScope,
): number[] {
  const rows = completions.length;
  const divisor = (length: number): number => {
    switch (policies[lossType].normalizer) {
      case "rowTokens":
        return rows * Math.max(1, length);
      case "tokens":
        return Math.max(1, tokensOf(completions));
      case "maxLength":
        return rows * maxCompletionLength;
      case "rows":
        return rows;
      case "generationTokens":
        return Math.max(1, generationTokens) / stepsPerGeneration;
    }
  };
  return completions.map(({ logProbs }) => divisor(logProbs.length));
}
