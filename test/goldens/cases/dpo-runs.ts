// `trl/dpo/run-*`: whole runs of TRL's DPOTrainer, step by step.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "@tunesmith/native";
import { type DPOMetrics, DPOTrainer, type EvalEvent, type LogEvent } from "@tunesmith/trainer";
import { readSafetensors, tensorError } from "../../support/safetensors.ts";
import { attempt, measured, type Outcome, relative } from "../outcome.ts";
import { lossError } from "./dpo-losses.ts";

interface Run {
  model: string;
  args: Record<string, unknown>;
  tolerance: { adapter_end: number };
  train: Record<string, unknown>[];
  eval: Record<string, unknown>[];
  history: Record<string, number>[];
  eval_before: Record<string, number>;
  eval_after: Record<string, number>;
}

/** Metrics by TRL's names, what may differ, and whether that is relative. */
const metrics: readonly [name: string, key: keyof DPOMetrics["log"], tolerance: number, isRelative: boolean][] = [
  ["entropy", "entropy", 1e-5, true],
  ["mean_token_accuracy", "meanTokenAccuracy", 1e-6, false],
  ["rewards/chosen", "rewards/chosen", 5e-5, false],
  ["rewards/rejected", "rewards/rejected", 5e-5, false],
  ["rewards/accuracies", "rewards/accuracies", 1e-6, false],
  ["rewards/margins", "rewards/margins", 5e-5, false],
  ["logps/chosen", "logps/chosen", 1e-5, true],
  ["logps/rejected", "logps/rejected", 1e-5, true],
  ["logits/chosen", "logits/chosen", 1e-4, false],
  ["logits/rejected", "logits/rejected", 1e-4, false],
];

/** `trl/dpo/run-*`. */
export async function dpoRuns(root: string): Promise<Outcome[]> {
  const dir = join(root, "trl/dpo");
  if (!existsSync(dir)) return [];
  const outcomes: Outcome[] = [];
  for (const entry of readdirSync(dir)
    .filter((name) => existsSync(join(dir, name, "run.json")))
    .sort())
    outcomes.push(...(await attempt(`trl/dpo/${entry}`, () => oneRun(root, `trl/dpo/${entry}`))));
  return outcomes;
}

async function oneRun(root: string, name: string): Promise<Outcome[]> {
  const folder = join(root, name);
  const run = JSON.parse(readFileSync(join(folder, "run.json"), "utf8")) as Run;
  const model = await loadModel(join(root, "models", run.model), { device: "cpu" });
  const outputDir = mkdtempSync(join(tmpdir(), "tunesmith-dpo-"));
  try {
    const steps = { evalStrategy: "steps", evalSteps: run.history.length, evalOnStart: true } as const;
    const trainer = new DPOTrainer({
      model,
      trainDataset: run.train,
      evalDataset: run.eval,
      args: { ...run.args, ...steps, outputDir, saveStrategy: "no" },
      peftConfig: { adapterPath: join(folder, "adapter_start") },
    });
    const logs: LogEvent<DPOMetrics>[] = [];
    const evals: EvalEvent<DPOMetrics>[] = [];
    const training = trainer.train();
    for await (const event of training) {
      if (event.type === "log") logs.push(event);
      if (event.type === "eval") evals.push(event);
    }
    const { adapterDir } = await training;
    const file = "adapter_model.safetensors";
    const error = tensorError(
      readSafetensors(join(adapterDir, file)),
      readSafetensors(join(folder, "adapter_end", file)),
    );
    return [
      ...history(name, run, logs),
      ...evaluation(`${name}/eval_before`, evals[0], run.eval_before),
      ...evaluation(`${name}/eval_after`, evals.at(-1), run.eval_after),
      measured(`${name}/adapter_end`, error, run.tolerance.adapter_end),
    ];
  } finally {
    rmSync(outputDir, { recursive: true, force: true });
  }
}

type Log = LogEvent<DPOMetrics>;

function history(name: string, run: Run, logs: readonly Log[]): Outcome[] {
  const worst = (error: (log: Log, expected: Record<string, number>) => number) =>
    logs.length === run.history.length
      ? Math.max(...run.history.map((expected, index) => error(logs[index] as Log, expected)))
      : Number.POSITIVE_INFINITY;
  const of = (key: string, expected: Record<string, number>) => expected[key] ?? Number.NaN;
  return [
    measured(
      `${name}/loss`,
      worst((log, expected) => lossError(log.loss, of("loss", expected))),
      1,
    ),
    measured(
      `${name}/grad_norm`,
      worst((log, expected) => relative(log.gradNorm, of("grad_norm", expected))),
      1e-4,
    ),
    measured(
      `${name}/learning_rate`,
      worst((log, expected) => relative(log.learningRate, of("learning_rate", expected))),
      1e-9,
    ),
    measured(
      `${name}/num_tokens`,
      worst((log, expected) => Math.abs(log.numTokens - of("num_tokens", expected))),
      0,
    ),
    measured(
      `${name}/epoch`,
      worst((log, expected) => relative(log.epoch, of("epoch", expected))),
      1e-9,
    ),
    ...metrics.map(([key, own, tolerance, isRelative]) =>
      measured(
        `${name}/${key}`,
        worst((log, expected) => difference(log[own], of(key, expected), isRelative)),
        tolerance,
      ),
    ),
  ];
}

function evaluation(name: string, got: EvalEvent<DPOMetrics> | undefined, expected: Record<string, number>): Outcome[] {
  const values = (got ?? {}) as unknown as Record<string, number>;
  const capital = (key: string) => `eval${key.charAt(0).toUpperCase()}${key.slice(1)}`;
  return [
    measured(`${name}/loss`, lossError(values.evalLoss ?? Number.NaN, expected.eval_loss ?? Number.NaN), 1),
    ...metrics.map(([key, own, tolerance, isRelative]) => {
      const value = values[capital(own)] ?? Number.NaN;
      return measured(
        `${name}/${key}`,
        difference(value, expected[`eval_${key}`] ?? Number.NaN, isRelative),
        tolerance,
      );
    }),
  ];
}

function difference(got: number, expected: number, isRelative: boolean): number {
  if (isRelative) return relative(got, expected);
  const error = Math.abs(got - expected);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}
