// Losses that look at each answer of a pair for itself, or at both without a margin alone.
import { type AnswerScore, logSigmoid, noLosses, type PairLosses, type PairScore, sigmoid } from "./answers.ts";

/** A loss of a pair, and its derivatives by u of both answers. */
type AnswerLoss = (
  chosen: AnswerScore,
  rejected: AnswerScore,
  beta: number,
) => [loss: number, byChosen: number, byRejected: number];

/** NCA (arXiv:2402.05369): the chosen answer likelier, both not less likely than they were. */
const ncaPair: AnswerLoss = ({ ratio: c }, { ratio: r }, beta) => [
  -logSigmoid(beta * c) - 0.5 * logSigmoid(-beta * c) - 0.5 * logSigmoid(-beta * r),
  beta * (0.5 * sigmoid(beta * c) - sigmoid(-beta * c)),
  beta * 0.5 * sigmoid(beta * r),
];

/** BCO (arXiv:2404.04656) without a running mean of the rewards, as TRL has it for pairs. */
const bcoPair: AnswerLoss = ({ ratio: c }, { ratio: r }, beta) => [
  -logSigmoid(beta * c) - logSigmoid(-beta * r),
  -beta * sigmoid(-beta * c),
  beta * sigmoid(beta * r),
];

/** SPPO with hard labels (arXiv:2405.00675). */
const sppoHard: AnswerLoss = ({ ratio: c }, { ratio: r }, beta) => {
  const [up, down] = [c - 0.5 / beta, r + 0.5 / beta];
  return [up ** 2 + down ** 2, 2 * up, 2 * down];
};

/** APO-zero (arXiv:2408.06266): the chosen answer likelier, the rejected one less likely. */
const apoZero: AnswerLoss = ({ ratio: c }, { ratio: r }, beta) => [
  1 - sigmoid(beta * c) + sigmoid(beta * r),
  -beta * bump(beta * c),
  beta * bump(beta * r),
];

/** APO-down (arXiv:2408.06266): both less likely, the rejected one more so. */
const apoDown: AnswerLoss = ({ ratio: c }, { ratio: r }, beta) => [
  sigmoid(beta * c) + 1 - sigmoid(beta * (c - r)),
  beta * (bump(beta * c) - bump(beta * (c - r))),
  beta * bump(beta * (c - r)),
];

/** σ′(x). */
function bump(x: number): number {
  return sigmoid(x) * sigmoid(-x);
}

const answerLosses = {
  nca_pair: ncaPair,
  bco_pair: bcoPair,
  sppo_hard: sppoHard,
  apo_zero: apoZero,
  apo_down: apoDown,
};

/** Names of these losses. */
export type AnswerLossType = keyof typeof answerLosses;

export function isAnswerLoss(name: string): name is AnswerLossType {
  return Object.hasOwn(answerLosses, name);
}

/** The losses of pairs, and the derivative of their sum. */
export function answerLoss(name: AnswerLossType, pairs: readonly PairScore[], beta: number): PairLosses {
  const result = noLosses(pairs.length);
  for (const [n, { chosen, rejected }] of pairs.entries()) {
    const [loss, byChosen, byRejected] = answerLosses[name](chosen, rejected, beta);
    result.losses[n] = loss;
    result.chosen[n] = byChosen;
    result.rejected[n] = byRejected;
  }
  return result;
}
