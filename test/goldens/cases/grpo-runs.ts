// `trl/grpo/run-*`: whole runs of TRL's GRPOTrainer with the completions that it sampled, step by step.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { grpoConfigSchema, loraConfigSchema, parseOptions } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import type { LogEvent } from "@tunesmith/trainer";
import type { GRPOMetrics } from "../../../packages/trainer/src/grpo/metrics.ts";
import { grpoRecipe } from "../../../packages/trainer/src/grpo/recipe.ts";
import type { RolloutInput } from "../../../packages/trainer/src/grpo/rollout.ts";
import { Trainer } from "../../../packages/trainer/src/loop/trainer.ts";
import type { RewardInput } from "../../../packages/trainer/src/rewards/reward.ts";
import { readSafetensors, tensorError } from "../../support/safetensors.ts";
import { attempt, measured, type Outcome, relative } from "../outcome.ts";
import { lossError } from "./dpo-losses.ts";

interface Row {
  prompt: number;
  prompt_ids: number[];
  completion_ids: number[];
  rewards: (number | null)[];
  advantage: number;
  old_per_token_logps: number[];
  ref_per_token_logps: number[];
  masked: boolean;
}

interface Run {
  model: string;
  args: Record<string, unknown>;
  reward_names: string[];
  prompts: unknown[];
  tolerance: { adapter_end: number };
  generations: { rows: Row[] }[];
  micro_batches: { optimizer_step: number; generation: number; rows: number[] }[];
  history: Record<string, number>[];
}

/** `trl/grpo/run-*`. */
export async function grpoRuns(root: string): Promise<Outcome[]> {
  const dir = join(root, "trl/grpo");
  if (!existsSync(dir)) return [];
  const outcomes: Outcome[] = [];
  for (const entry of readdirSync(dir)
    .filter((name) => existsSync(join(dir, name, "run.json")))
    .sort())
    outcomes.push(...(await attempt(`trl/grpo/${entry}`, () => oneRun(root, `trl/grpo/${entry}`))));
  return outcomes;
}

/** The completions of a generation in the order in which its micro-batches first take them. */
function orderOf(run: Run, generation: number): Int32Array {
  const taken = run.micro_batches.filter((entry) => entry.generation === generation).flatMap(({ rows }) => rows);
  return Int32Array.from(new Set(taken));
}

async function oneRun(root: string, name: string): Promise<Outcome[]> {
  const folder = join(root, name);
  const run = JSON.parse(readFileSync(join(folder, "run.json"), "utf8")) as Run;
  const model = await loadModel(join(root, "models", run.model), { device: "cpu" });
  const outputDir = mkdtempSync(join(tmpdir(), "tunesmith-grpo-"));
  const wrongPrompts: number[] = [];
  try {
    const rowsOf = (generation: number) => run.generations[generation]?.rows ?? [];
    const rewards = run.reward_names.map((reward, f) => ({
      name: reward,
      reward: ({ completionIds, state }: RewardInput) =>
        completionIds.map((ids) => {
          const found = rowsOf(state.generation).find((row) => row.completion_ids.join() === ids.join());
          return found?.rewards[f] ?? null;
        }),
    }));
    const rolloutFunc = async ({ prompts, state }: RolloutInput) => {
      const rows = rowsOf(state.generation);
      const size = rows.length / prompts.length;
      for (const [n, { prompt_ids: ids }] of rows.entries())
        if (ids.join() !== prompts[Math.floor(n / size)]?.promptIds.join()) wrongPrompts.push(n);
      return rows.map(({ completion_ids: completionIds }) => ({ completionIds }));
    };
    const order = (_: number, generation: number) => orderOf(run, generation);
    const inputs = {
      ...{ model, trainDataset: run.prompts.map((prompt) => ({ prompt })), evalDataset: null },
      args: parseOptions(grpoConfigSchema, { ...run.args, outputDir, saveStrategy: "no" }),
      peft: parseOptions(loraConfigSchema, { adapterPath: join(folder, "adapter_start") }),
    };
    const recipe = grpoRecipe({ rewards, rolloutFunc, order, formattingFunc: null, sampler: null });
    const logs: LogEvent<GRPOMetrics>[] = [];
    const training = new Trainer(recipe, inputs, []).train();
    for await (const event of training) if (event.type === "log") logs.push(event);
    const { adapterDir } = await training;
    const file = "adapter_model.safetensors";
    const error = tensorError(
      readSafetensors(join(adapterDir, file)),
      readSafetensors(join(folder, "adapter_end", file)),
    );
    return [
      measured(`${name}/prompt_ids`, wrongPrompts.length, 0),
      measured(`${name}/advantages`, advantageError(run, outputDir), 1e-5),
      ...history(name, run, logs),
      measured(`${name}/adapter_end`, error, run.tolerance.adapter_end),
    ];
  } finally {
    rmSync(outputDir, { recursive: true, force: true });
  }
}

/** Largest difference of the advantages in completions.jsonl. */
function advantageError(run: Run, outputDir: string): number {
  const lines = readFileSync(join(outputDir, "completions.jsonl"), "utf8").trimEnd().split("\n");
  const expected = run.generations.flatMap(({ rows }) => rows.map(({ advantage }) => advantage));
  if (lines.length !== expected.length) return Number.POSITIVE_INFINITY;
  const errors = lines.map((line, n) => (JSON.parse(line) as Row).advantage - (expected[n] as number));
  return Math.max(...errors.map(Math.abs));
}

/** What may differ, relatively; all else by 1e-4 or 1e-6, whichever is more. */
const tolerances: Readonly<Record<string, number>> = {
  grad_norm: 1e-4,
  learning_rate: 1e-9,
  entropy: 1e-5,
  epoch: 1e-9,
};

/** What log lines have other names for. */
const ownNames: Readonly<Record<string, string>> = {
  ...{ grad_norm: "gradNorm", learning_rate: "learningRate", num_tokens: "numTokens" },
};

/** Log lines against those of TRL: every number is there where TRL logs it, and nowhere else. */
function history(name: string, run: Run, logs: readonly LogEvent<GRPOMetrics>[]): Outcome[] {
  const names = [...new Set(run.history.flatMap(Object.keys))].filter((key) => key !== "step");
  return names.map((key) => {
    const errors = run.history.map((expected, index) => {
      const wanted = expected[key];
      const got = (logs[index] as unknown as Record<string, number> | undefined)?.[ownNames[key] ?? key];
      // Every line of ours counts tokens.
      if (wanted === undefined) return got === undefined || key === "num_tokens" ? 0 : Number.POSITIVE_INFINITY;
      const tolerance = tolerances[key];
      return tolerance === undefined
        ? lossError(got ?? Number.NaN, wanted)
        : relative(got ?? Number.NaN, wanted) / tolerance;
    });
    return measured(`${name}/${key}`, logs.length === run.history.length ? Math.max(...errors) : Number.NaN, 1);
  });
}
