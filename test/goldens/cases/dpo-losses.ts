// `trl/dpo/losses-*`: every loss of DPOTrainer on recorded log-probabilities, with its derivatives, without a model.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { AnswerValues, PairValues } from "../../../packages/trainer/src/dpo/losses/answers.ts";
import { pairsLoss } from "../../../packages/trainer/src/dpo/losses/loss.ts";
import type { DPOLossSettings, DPOLossType } from "../../../packages/trainer/src/dpo/losses/settings.ts";
import { pairMetrics } from "../../../packages/trainer/src/dpo/metrics.ts";
import { readIntegers, readSafetensors } from "../../support/safetensors.ts";
import { attempt, measured, type Outcome } from "../outcome.ts";

/** One batch of TRL's DPOTrainer. */
export interface DPOCase {
  name: string;
  loss_type: DPOLossType[];
  loss_weights: number[] | null;
  beta: number;
  f_divergence_type: DPOLossSettings["fDivergenceType"];
  f_alpha_divergence_coef: number;
  label_smoothing: number;
  ld_alpha: number | null;
  use_weighting: boolean;
  discopop_tau: number;
  policy: string;
  reference: string;
  trained: string;
  loss: number;
  grad_norm: number;
  grad_dot_weights: number;
  metrics: Record<string, number>;
  dlogp: number[][];
}

/** A file of them. */
export interface DPOGolden {
  model: string;
  inputs: string;
  weights: Record<string, string | null>;
  cases: DPOCase[];
}

/** The files of a root, by name. */
export function dpoGoldens(root: string): { dir: string; file: string; golden: DPOGolden }[] {
  const dir = join(root, "trl/dpo");
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => /^losses.*\.json$/u.test(name))
    .sort()
    .map((file) => ({ dir, file, golden: JSON.parse(readFileSync(join(dir, file), "utf8")) as DPOGolden }));
}

/** What a case sets. */
export function settingsOf(entry: DPOCase): DPOLossSettings {
  return {
    lossType: entry.loss_type,
    lossWeights: entry.loss_weights,
    beta: entry.beta,
    fDivergenceType: entry.f_divergence_type,
    fAlphaDivergenceCoef: entry.f_alpha_divergence_coef,
    labelSmoothing: entry.label_smoothing,
    ldAlpha: entry.ld_alpha,
    useWeighting: entry.use_weighting,
    discopopTau: entry.discopop_tau,
  };
}

/** `trl/dpo/losses-*` without a model. */
export async function dpoLosses(root: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { dir, file, golden } of dpoGoldens(root))
    for (const entry of golden.cases) {
      const name = `trl/dpo/${file}/${entry.name}`;
      outcomes.push(...(await attempt(name, async () => oneCase(name, join(dir, golden.inputs), entry))));
    }
  return outcomes;
}

function oneCase(name: string, path: string, entry: DPOCase): Outcome[] {
  const mask = readIntegers(path).get("completion_mask") ?? [];
  const columns = readSafetensors(path, { others: "skip" });
  const width = (mask[0]?.length ?? 1) - 1;
  // A log-probability stands one place before the token that it is of.
  const places = mask.map((row) => [...row.keys()].filter((t) => t > 0 && row[t] === 1).map((t) => t - 1));
  const pick = (tensor: string, row: number) =>
    Float32Array.from(places[row] ?? [], (t) => columns.get(tensor)?.[row * width + t] ?? Number.NaN);
  const answer = (row: number): AnswerValues => ({
    logProbs: pick(`logps.${entry.policy}`, row),
    referenceLogProbs: pick(`logps.${entry.reference}`, row),
    logSumSquares: pick(`log_sum_sq_probs.${entry.policy}`, row),
  });
  const pairs = mask
    .slice(0, mask.length / 2)
    .map((_, n): PairValues => ({ chosen: answer(n), rejected: answer(n + mask.length / 2) }));
  const { loss, derivatives, scores } = pairsLoss(pairs, settingsOf(entry));
  const slopes = [...derivatives.map(({ chosen }) => chosen), ...derivatives.map(({ rejected }) => rejected)];
  const largest = Math.max(...entry.dlogp.flat().map(Math.abs));
  const errors = entry.dlogp.map((expected, row) => {
    const got = new Float64Array(expected.length);
    for (const [n, t] of (places[row] ?? []).entries()) got[t] = slopes[row]?.[n] ?? Number.NaN;
    return Math.max(...expected.map((value, t) => Math.abs(value - (got[t] as number))));
  });
  const none = { entropies: new Float32Array(), hits: new Uint8Array(), meanLogits: new Float32Array() };
  const both = pairs.map(({ chosen, rejected }) => ({
    chosen: { ...chosen, ...none },
    rejected: { ...rejected, ...none },
  }));
  const metrics = Object.entries(pairMetrics(both, scores, entry.beta));
  const metric = (prefix: string) => {
    const named = metrics.filter(([key]) => key.startsWith(prefix));
    return named.map(([key, { sum, weight }]) => [sum / weight, entry.metrics[key] ?? Number.NaN] as const);
  };
  return [
    measured(`${name}/loss`, lossError(loss, entry.loss), 1),
    measured(`${name}/dlogp`, Math.max(...errors) / largest, 1e-4),
    measured(
      `${name}/rewards`,
      Math.max(...metric("rewards/").map(([got, expected]) => Math.abs(got - expected))),
      2e-5,
    ),
    measured(
      `${name}/logps`,
      Math.max(...metric("logps/").map(([got, expected]) => Math.abs(got / expected - 1))),
      1e-5,
    ),
  ];
}

/** In units of what is allowed: 1e-4 relative or 1e-6, whichever is more. */
export function lossError(got: number, expected: number): number {
  const error = Math.abs(got - expected) / Math.max(1e-4 * Math.abs(expected), 1e-6);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}
