// `trl/grpo/advantages.json` and `entropy-control.json`: rewards as advantages, and the factor of the entropy bonus from step to step.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type AdvantageSettings, advantagesOf } from "../../../packages/trainer/src/grpo/advantages/advantages.ts";
import { rewardMetrics } from "../../../packages/trainer/src/grpo/advantages/metrics.ts";
import { EntropyControl } from "../../../packages/trainer/src/grpo/entropy-control.ts";
import { completionsLoss } from "../../../packages/trainer/src/grpo/losses/loss.ts";
import { attempt, measured, type Outcome } from "../outcome.ts";
import { lossError } from "./dpo-losses.ts";
import { settingsOf } from "./grpo-losses.ts";

interface AdvantageCase {
  kind: string;
  num_generations: number;
  scale_rewards: AdvantageSettings["scaleRewards"];
  multi_objective_aggregation: AdvantageSettings["multiObjectiveAggregation"];
  reward_weights: number[] | null;
  reward_names: string[];
  rewards: (number | null)[][];
  advantages: number[];
  metrics: Record<string, number | null>;
}

/** `trl/grpo/advantages.json`. */
export async function grpoAdvantages(root: string): Promise<Outcome[]> {
  const path = join(root, "trl/grpo/advantages.json");
  if (!existsSync(path)) return [];
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: AdvantageCase[] };
  return cases.flatMap((entry, index) => {
    const name = `trl/grpo/advantages.json/${index}-${entry.kind}-${entry.scale_rewards}-${entry.multi_objective_aggregation}`;
    const found = advantagesOf(entry.rewards, {
      numGenerations: entry.num_generations,
      scaleRewards: entry.scale_rewards,
      multiObjectiveAggregation: entry.multi_objective_aggregation,
      rewardWeights: entry.reward_weights,
    });
    const metrics = rewardMetrics(entry.rewards, entry.reward_names, found);
    // What has no value is null there and left out here.
    const expected = Object.entries(entry.metrics).filter(([, value]) => value !== null);
    const missing = Object.keys(metrics).length === expected.length ? [] : [Number.NaN];
    return [
      measured(
        `${name}/advantages`,
        largest(entry.advantages.map((a, n) => a - (found.advantages[n] ?? Number.NaN))),
        1e-5,
      ),
      measured(
        `${name}/metrics`,
        largest([...missing, ...expected.map(([key, value]) => (value ?? Number.NaN) - (metrics[key] ?? Number.NaN))]),
        1e-5,
      ),
    ];
  });
}

/** Infinite for what is no number. */
function largest(errors: readonly number[]): number {
  const worst = Math.max(...errors.map(Math.abs));
  return Number.isNaN(worst) ? Number.POSITIVE_INFINITY : worst;
}

interface ControlCase {
  loss_type: "bnpo";
  beta: number;
  epsilon: number;
  gradient_accumulation_steps: number;
  entropy_coef: number;
  entropy_target: number;
  entropy_coef_delta: number;
  entropy_coef_min: number;
  entropy_coef_max: number;
  top_entropy_quantile: number;
  steps: { micro_batches: ControlBatch[]; entropy_coef_logged: number }[];
}

interface ControlBatch {
  entropies: number[][];
  mask: number[][];
  per_token_logps: number[][];
  advantages: number[];
  loss: number;
  policy_loss: number;
}

/** `trl/grpo/entropy-control.json`. */
export async function grpoEntropyControl(root: string): Promise<Outcome[]> {
  const path = join(root, "trl/grpo/entropy-control.json");
  if (!existsSync(path)) return [];
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: ControlCase[] };
  const outcomes: Outcome[] = [];
  for (const [index, entry] of cases.entries()) {
    const name = `trl/grpo/entropy-control.json/${index}`;
    outcomes.push(...(await attempt(name, async () => controlled(name, entry))));
  }
  return outcomes;
}

function controlled(name: string, entry: ControlCase): Outcome[] {
  const control = new EntropyControl({
    useAdaptiveEntropy: true,
    entropyCoef: entry.entropy_coef,
    entropyTarget: entry.entropy_target,
    entropyCoefDelta: entry.entropy_coef_delta,
    entropyCoefMin: entry.entropy_coef_min,
    entropyCoefMax: entry.entropy_coef_max,
  });
  const settings = settingsOf({
    ...entry,
    ...{ importance_sampling_level: "token", epsilon_high: entry.epsilon, max_completion_length: 1 },
    ...{ num_items_in_batch: 1, loss: 0, grad_norm: 0 },
  });
  const errors: Record<"loss" | "policy_loss" | "entropy_coef", number[]> = {
    ...{ loss: [], policy_loss: [], entropy_coef: [] },
  };
  for (const { micro_batches: batches, entropy_coef_logged: logged } of entry.steps) {
    const seen = { sum: 0, tokens: 0 };
    for (const batch of batches) {
      const pick = (table: number[][], row: number) => table[row]?.filter((_, t) => batch.mask[row]?.[t] === 1) ?? [];
      const completions = batch.advantages.map((advantage, row) => ({
        ...{ logProbs: pick(batch.per_token_logps, row), entropies: pick(batch.entropies, row), advantage },
        ...{ oldLogProbs: null, referenceLogProbs: null },
      }));
      const scope = { generationTokens: 1, stepsPerGeneration: 1, microBatches: 1, entropyCoef: control.applied };
      const { loss, policyLoss, entropy } = completionsLoss(completions, settings, scope);
      errors.loss.push(lossError(loss / entry.gradient_accumulation_steps, batch.loss));
      errors.policy_loss.push(lossError(policyLoss, batch.policy_loss));
      seen.sum += entropy.sum;
      seen.tokens += entropy.tokens;
    }
    control.after(seen);
    errors.entropy_coef.push(control.coef - logged);
  }
  return [
    measured(`${name}/loss`, largest(errors.loss), 1),
    measured(`${name}/policy_loss`, largest(errors.policy_loss), 1),
    measured(`${name}/entropy_coef`, largest(errors.entropy_coef), 1e-9),
  ];
}
