// Logits of the next id by the id before it: what each token's values are, and their gradient.
import {
  ArgumentError,
  type Batch,
  type Coefficients,
  type Objective,
  type SequenceSums,
  type TokenValueName,
  type TokenValues,
} from "@tunesmith/core";
import { letterVocab as vocab } from "../../../core/src/testing/letter-tokenizer.ts";

/** What each of a token's values is, in float64. */
interface Row {
  /** Where the logits begin in the table. */
  from: number;
  label: number;
  largest: number;
  /** p of every id. */
  probabilities: Float64Array;
  logProb: number;
  entropy: number;
  logSumExp: number;
  meanLogProb: number;
  hit: boolean;
}

/** Derivatives of a loss with respect to the values of one token. */
type RowCoefficients = Partial<Record<keyof Coefficients, number>>;

/** Every supervised token of a batch: its place t, and the sequence it belongs to. A label that is no id is not trained. */
function* supervised({ labels, sequenceStarts }: Batch): Generator<{ t: number; sequence: number }> {
  for (let sequence = 0; sequence < sequenceStarts.length - 1; sequence += 1) {
    const last = sequenceStarts[sequence + 1] as number;
    for (let t = (sequenceStarts[sequence] as number) + 1; t < last; t += 1) {
      if ((labels[t] as number) >= 0) yield { t, sequence };
    }
  }
}

function rowAt(table: Float64Array, { inputIds, labels }: Batch, t: number): Row {
  const from = (inputIds[t - 1] as number) * vocab;
  const logits = table.subarray(from, from + vocab);
  const label = labels[t] as number;
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const logSumExp = Math.log(sum) + largest;
  const probabilities = new Float64Array(vocab);
  let [entropy, meanLogit] = [0, 0];
  for (const [k, logit] of logits.entries()) {
    const p = Math.exp(logit - largest) / sum;
    probabilities[k] = p;
    entropy += p === 0 ? 0 : -p * Math.log(p);
    meanLogit += logit / vocab;
  }
  const logProb = (logits[label] as number) - logSumExp;
  const hit = logits[label] === largest;
  return { from, label, largest, probabilities, logProb, entropy, logSumExp, meanLogProb: meanLogit - logSumExp, hit };
}

/** Adds the gradient of weight · Σ coefficient · value with respect to the logits. */
function addGradient(gradient: Float64Array, row: Row, given: RowCoefficients, weight = 1): void {
  const { logProb = 0, entropy = 0, logSumExp = 0, meanLogProb = 0 } = given;
  for (const [k, p] of row.probabilities.entries()) {
    const place = row.from + k;
    let slope = logProb * ((k === row.label ? 1 : 0) - p);
    if (entropy !== 0 && p > 0) slope -= entropy * p * (Math.log(p) + row.entropy);
    if (logSumExp !== 0) slope += logSumExp * p;
    if (meanLogProb !== 0) slope += meanLogProb * (1 / vocab - p);
    gradient[place] = (gradient[place] as number) + weight * slope;
  }
}

/** Values of every supervised token, 0 elsewhere. */
export function tokenValues(table: Float64Array, batch: Batch, names: readonly TokenValueName[] = []): TokenValues {
  const column = () => new Float32Array(batch.labels.length);
  const values = {
    logProb: column(),
    entropy: column(),
    logSumExp: column(),
    meanLogProb: column(),
    hit: new Uint8Array(batch.labels.length),
    ...(names.includes("logSumSquares") ? { logSumSquares: column() } : {}),
    ...(names.includes("meanLogit") ? { meanLogit: column() } : {}),
  };
  for (const { t } of supervised(batch)) {
    const row = rowAt(table, batch, t);
    values.logProb[t] = row.logProb;
    values.entropy[t] = row.entropy;
    values.logSumExp[t] = row.logSumExp;
    values.meanLogProb[t] = row.meanLogProb;
    values.hit[t] = row.hit ? 1 : 0;
    if (values.logSumSquares !== undefined)
      values.logSumSquares[t] = Math.log(row.probabilities.reduce((sum, p) => sum + p * p, 0));
    if (values.meanLogit !== undefined) values.meanLogit[t] = row.meanLogProb + row.logSumExp;
  }
  return values;
}

/** Adds the gradient of a loss whose derivatives with respect to the values are given. */
export function addCoefficients(
  table: Float64Array,
  batch: Batch,
  coefficients: Coefficients,
  gradient: Float64Array,
): void {
  for (const { t } of supervised(batch)) {
    const given: RowCoefficients = {};
    for (const name of ["logProb", "entropy", "logSumExp", "meanLogProb"] as const)
      given[name] = coefficients[name]?.[t] ?? 0;
    addGradient(gradient, rowAt(table, batch, t), given);
  }
}

/** The loss of one token, and its derivatives with respect to the token's values. */
function lossOf(objective: Objective, { logProb, logSumExp, meanLogProb }: Row): [number, RowCoefficients] {
  switch (objective.type) {
    case "nll": {
      const { labelSmoothing = 0, zLoss = 0 } = objective;
      const loss = -((1 - labelSmoothing) * logProb + labelSmoothing * meanLogProb) + zLoss * logSumExp ** 2;
      return [loss, { logProb: labelSmoothing - 1, meanLogProb: -labelSmoothing, logSumExp: 2 * zLoss * logSumExp }];
    }
    case "dft":
      return [-logProb * Math.exp(logProb), { logProb: -Math.exp(logProb) }];
    default:
      throw new ArgumentError(`[objective] expected nll or dft, got ${JSON.stringify(objective)}; choose one of those`);
  }
}

/** Sums per sequence of an objective; adds its gradient where one is given. */
export function sequenceSums(
  table: Float64Array,
  batch: Batch,
  objective: Objective,
  gradient: Float64Array | null,
): SequenceSums {
  const n = batch.sequenceStarts.length - 1;
  const sums = {
    lossSum: new Float64Array(n),
    weightSum: new Float64Array(n),
    tokens: new Int32Array(n),
    correct: new Int32Array(n),
    entropySum: new Float64Array(n),
  };
  for (const { t, sequence } of supervised(batch)) {
    const row = rowAt(table, batch, t);
    const weight = batch.weights?.[t] ?? 1;
    const add = (name: keyof SequenceSums, value: number) => {
      sums[name][sequence] = (sums[name][sequence] as number) + value;
    };
    const [loss, slopes] = lossOf(objective, row);
    add("lossSum", weight * loss);
    add("weightSum", weight);
    add("tokens", 1);
    add("correct", row.hit ? 1 : 0);
    add("entropySum", row.entropy);
    if (gradient !== null) addGradient(gradient, row, slopes, weight);
  }
  return sums;
}
