// `trl/grpo/losses*`: every loss of GRPOTrainer on recorded log-probabilities, with its derivatives, without a model.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { CompletionValues } from "../../../packages/trainer/src/grpo/losses/completion.ts";
import { completionsLoss } from "../../../packages/trainer/src/grpo/losses/loss.ts";
import { lossMetrics } from "../../../packages/trainer/src/grpo/losses/metrics.ts";
import type { GRPOLossSettings, GRPOLossType } from "../../../packages/trainer/src/grpo/losses/settings.ts";
import { readIntegers, readSafetensors } from "../../support/safetensors.ts";
import { attempt, measured, type Outcome } from "../outcome.ts";
import { lossError } from "./dpo-losses.ts";

/** One micro-batch of TRL's GRPOTrainer; what a case does not say is TRL's default. */
export interface GRPOCase {
  name?: string;
  loss_type: GRPOLossType;
  beta: number;
  importance_sampling_level: "token" | "sequence";
  epsilon: number;
  epsilon_high: number;
  delta?: number | null;
  use_bias_correction_kl?: boolean;
  temperature?: number;
  top_entropy_quantile?: number;
  entropy_coef?: number;
  mask_truncated_completions?: boolean;
  off_policy_mask_threshold?: number | null;
  sapo_temperature_pos?: number;
  sapo_temperature_neg?: number;
  vespo_k_pos?: number;
  vespo_lambda_pos?: number;
  vespo_k_neg?: number;
  vespo_lambda_neg?: number;
  gradient_accumulation_steps?: number;
  steps_per_generation?: number;
  max_completion_length: number;
  old_per_token_logps?: boolean;
  num_items_in_batch: number;
  loss: number;
  grad_norm: number;
  grad_dot_adapter?: number;
  metrics?: Record<string, number>;
  dlogp?: number[][];
  dentropy?: number[][];
}

/** A file of them. */
export interface GRPOGolden {
  model: string;
  adapter: string;
  inputs?: string;
  cases: GRPOCase[];
}

/** The files of a root, by name. */
export function grpoGoldens(root: string): { dir: string; file: string; golden: GRPOGolden }[] {
  const dir = join(root, "trl/grpo");
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => /^losses.*\.json$/u.test(name))
    .sort()
    .map((file) => ({ dir, file, golden: JSON.parse(readFileSync(join(dir, file), "utf8")) as GRPOGolden }));
}

/** What a case sets. */
export function settingsOf(entry: GRPOCase): GRPOLossSettings {
  return {
    lossType: entry.loss_type,
    beta: entry.beta,
    importanceSamplingLevel: entry.importance_sampling_level,
    epsilon: entry.epsilon,
    epsilonHigh: entry.epsilon_high,
    delta: entry.delta ?? null,
    useBiasCorrectionKl: entry.use_bias_correction_kl ?? true,
    topEntropyQuantile: entry.top_entropy_quantile ?? 1,
    offPolicyMaskThreshold: entry.off_policy_mask_threshold ?? null,
    sapoTemperaturePos: entry.sapo_temperature_pos ?? 1,
    sapoTemperatureNeg: entry.sapo_temperature_neg ?? 1.05,
    vespoKPos: entry.vespo_k_pos ?? 2,
    vespoLambdaPos: entry.vespo_lambda_pos ?? 3,
    vespoKNeg: entry.vespo_k_neg ?? 3,
    vespoLambdaNeg: entry.vespo_lambda_neg ?? 2,
    maxCompletionLength: entry.max_completion_length,
  };
}

/** The rows that a case is made of. */
export interface GRPOInputs {
  /** Prompt and completion without padding, and where the completion begins. */
  sequences: { ids: number[]; completionStart: number }[];
  /** Which places of a completion are trained, as the recorded tensors count them. */
  places: number[][];
  column: (name: string) => (row: number) => Float32Array;
  advantages: Float32Array;
}

/** The rows of a case; a completion that was cut has no trained token where the case masks it. */
export function inputsOf(path: string, entry: GRPOCase, eos: readonly number[]): GRPOInputs {
  const [integers, floats] = [readIntegers(path), readSafetensors(path, { others: "skip" })];
  const table = (name: string) => integers.get(name) ?? [];
  const [mask, tools, ids] = [table("completion_mask"), table("tool_mask"), table("completion_ids")];
  const kept = (row: number, mask: readonly number[]) => {
    const written = mask.lastIndexOf(1);
    const isCut = !eos.includes(ids[row]?.[written] ?? -1);
    return !(entry.mask_truncated_completions === true && isCut);
  };
  const places = mask.map((row, n) =>
    kept(n, row) ? [...row.keys()].filter((t) => row[t] === 1 && (tools[n]?.[t] ?? 1) === 1) : [],
  );
  const width = mask[0]?.length ?? 0;
  return {
    sequences: mask.map((row, n) => {
      const prompt = (table("prompt_ids")[n] ?? []).filter((_, t) => table("prompt_mask")[n]?.[t] === 1);
      return {
        ids: [...prompt, ...(ids[n] ?? []).filter((_, t) => row[t] === 1)],
        completionStart: prompt.length,
      };
    }),
    places,
    column: (name) => (row) =>
      Float32Array.from(floats.has(name) ? (places[row] ?? []) : [], (t) => floats.get(name)?.[row * width + t] ?? 0),
    advantages: floats.get("advantages") ?? new Float32Array(),
  };
}

/** Ids that end a completion in these files. */
const eosTokenIds = [2];

/** `trl/grpo/losses*` without a model. */
export async function grpoLosses(root: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { dir, file, golden } of grpoGoldens(root))
    for (const [index, entry] of golden.cases.entries()) {
      const name = `trl/grpo/${file}/${entry.name ?? index}`;
      const path = join(dir, golden.inputs ?? "inputs.safetensors");
      outcomes.push(...(await attempt(name, async () => oneCase(name, path, entry))));
    }
  return outcomes;
}

function oneCase(name: string, path: string, entry: GRPOCase): Outcome[] {
  const { places, column, advantages } = inputsOf(path, entry, eosTokenIds);
  const settings = settingsOf(entry);
  const completions = places.map(
    (_, row): CompletionValues => ({
      logProbs: column("per_token_logps")(row),
      entropies: column("entropies")(row),
      oldLogProbs: entry.old_per_token_logps === false ? null : column("old")(row),
      referenceLogProbs: column("ref")(row),
      advantage: advantages[row] as number,
    }),
  );
  const accumulation = entry.gradient_accumulation_steps ?? 1;
  const scope = {
    microBatches: accumulation,
    generationTokens: entry.num_items_in_batch,
    stepsPerGeneration: entry.steps_per_generation ?? 1,
    entropyCoef: entry.entropy_coef ?? 0,
  };
  const { loss, policyLoss, derivatives, scores } = completionsLoss(completions, settings, scope);
  const slopes = (expected: number[][], of: (row: number) => ArrayLike<number> | undefined) => {
    const errors = expected.map((wanted, row) => {
      const got = new Float64Array(wanted.length);
      for (const [n, t] of (places[row] ?? []).entries()) got[t] = (of(row)?.[n] ?? Number.NaN) / accumulation;
      return Math.max(...wanted.map((value, t) => Math.abs(value - (got[t] as number))));
    });
    return Math.max(...errors) / Math.max(...expected.flat().map(Math.abs));
  };
  const { dlogp, dentropy, metrics = {} } = entry;
  const own = lossMetrics(completions, scores, settings);
  const logged: Record<string, number> = {
    ...Object.fromEntries(Object.entries(own).map(([key, { sum, weight }]) => [key, sum / weight])),
    ...(scope.entropyCoef !== 0 && { policy_loss: policyLoss, entropy_coef: scope.entropyCoef }),
  };
  return [
    measured(`${name}/loss`, lossError(loss / accumulation, entry.loss), 1),
    ...(dlogp === undefined
      ? []
      : [
          measured(
            `${name}/dlogp`,
            slopes(dlogp, (row) => derivatives[row]?.logProbs),
            1e-4,
          ),
        ]),
    ...(dentropy === undefined
      ? []
      : [
          measured(
            `${name}/dentropy`,
            slopes(dentropy, (row) => derivatives[row]?.entropies),
            1e-4,
          ),
        ]),
    ...Object.entries(metrics).map(([key, expected]) =>
      measured(`${name}/${key}`, lossError(logged[key] ?? Number.NaN, expected), 1),
    ),
  ];
}
