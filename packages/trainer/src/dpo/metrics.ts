// The metrics of preference optimization.
import type { DeclaredMetrics, MetricSums, Metrics } from "../loop/metrics.ts";
import { total } from "../loop/metrics.ts";
import type { SequenceValues } from "../two-phase/sequence-values.ts";
import type { PairScore } from "./losses/answers.ts";

/** Numbers of a micro-batch of pairs, by TRL's names; c is the chosen answer, r the rejected one. */
export interface PairMetrics {
  /** Mean over the tokens of both answers, in nats. */
  entropy: number;
  /** Share of the chosen answers' tokens that are the most likely ones. */
  meanTokenAccuracy: number;
  /** Mean of β·u over the chosen answers, u = log p by the model − log p by the reference. */
  "rewards/chosen": number;
  "rewards/rejected": number;
  /** Share of the pairs with u_c > u_r; a tie is none. */
  "rewards/accuracies": number;
  /** Mean of β·(u_c − u_r). */
  "rewards/margins": number;
  /** Mean of an answer's log p, in nats. */
  "logps/chosen": number;
  "logps/rejected": number;
  /** Mean of the logits over tokens and vocabulary. */
  "logits/chosen": number;
  "logits/rejected": number;
}

/** The same of an evaluation: unweighted means over batches. */
export type EvalPairMetrics = { [Name in keyof PairMetrics as `eval${Capitalize<Name>}`]: number };

/** The metrics of preference optimization (names of TRL's DPOTrainer, `meanTokenAccuracy` in camelCase). */
export interface DPOMetrics extends Metrics {
  log: PairMetrics & {
    /** Unweighted mean of the micro-batches' losses. */
    loss: number;
  };
  eval: EvalPairMetrics & {
    /** Mean of the batches' losses, weighted by their pairs. */
    evalLoss: number;
  };
}

/** How they come about. */
export const dpoMetrics: DeclaredMetrics<DPOMetrics> = {
  log: {
    loss: "ratio",
    entropy: "mean",
    meanTokenAccuracy: "mean",
    "rewards/chosen": "mean",
    "rewards/rejected": "mean",
    "rewards/accuracies": "mean",
    "rewards/margins": "mean",
    "logps/chosen": "mean",
    "logps/rejected": "mean",
    "logits/chosen": "mean",
    "logits/rejected": "mean",
  },
  eval: {
    evalLoss: "lower",
    evalEntropy: null,
    evalMeanTokenAccuracy: "higher",
    "evalRewards/chosen": "higher",
    "evalRewards/rejected": "lower",
    "evalRewards/accuracies": "higher",
    "evalRewards/margins": "higher",
    "evalLogps/chosen": "higher",
    "evalLogps/rejected": null,
    "evalLogits/chosen": null,
    "evalLogits/rejected": null,
  },
};

/** The values of both answers of a pair. */
export interface PairOf<T> {
  chosen: T;
  rejected: T;
}

/** Numerators and denominators of a micro-batch of pairs. */
export function pairMetrics(
  pairs: readonly PairOf<TokenColumns>[],
  scores: readonly PairScore[],
  beta: number,
): Record<keyof PairMetrics, MetricSums> {
  const mean = (of: (score: PairScore) => number) => ({ sum: total(scores, of), weight: scores.length });
  const answers = (side: "chosen" | "rejected") => pairs.map((pair) => pair[side]);
  const both = [...answers("chosen"), ...answers("rejected")];
  return {
    entropy: overTokens(both, ({ entropies }) => entropies),
    meanTokenAccuracy: overTokens(answers("chosen"), ({ hits }) => hits),
    "rewards/chosen": mean(({ chosen }) => beta * chosen.ratio),
    "rewards/rejected": mean(({ rejected }) => beta * rejected.ratio),
    "rewards/accuracies": mean(({ chosen, rejected }) => (chosen.ratio > rejected.ratio ? 1 : 0)),
    "rewards/margins": mean(({ chosen, rejected }) => beta * (chosen.ratio - rejected.ratio)),
    "logps/chosen": mean(({ chosen }) => chosen.policy),
    "logps/rejected": mean(({ rejected }) => rejected.policy),
    "logits/chosen": overTokens(answers("chosen"), ({ meanLogits }) => meanLogits),
    "logits/rejected": overTokens(answers("rejected"), ({ meanLogits }) => meanLogits),
  };
}

/** The columns that metrics are made of. */
type TokenColumns = Pick<SequenceValues, "entropies" | "hits" | "meanLogits" | "logProbs">;

function overTokens(answers: readonly TokenColumns[], column: (answer: TokenColumns) => ArrayLike<number>): MetricSums {
  return {
    sum: total(answers, (answer) => total(Array.from(column(answer)), Number)),
    weight: total(answers, ({ logProbs }) => logProbs.length),
  };
}
