// One run of the curriculum benchmark: a budget of tokens, and what held-out rows say on the way.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastLanguageModel } from "@tunesmith/sdk";
import { AbortError, SFTTrainer, type TrainCallback } from "@tunesmith/sdk";
import { type ArmName, arm, type Hardness } from "./arms.ts";
import { type ExactCount, exactMatch, heldOutLoss } from "./held-out.ts";
import type { TaskSet } from "./sets.ts";

/** The same for every run. */
export const settings = {
  /** Tokens of a run, prompts included: it ends with the first step that reaches them. */
  budget: 40_000,
  /** Evaluations, evenly over the budget. */
  evaluations: 4,
  maxTokensPerBatch: 512,
  learningRate: 5e-4,
  /** Constant after it, since a rate that falls would favour what comes early. */
  warmupSteps: 5,
  r: 16,
  loraAlpha: 32,
} as const;

/** With another budget in a test. */
export type Settings = { [name in keyof typeof settings]: number };

/** A place on a curve. */
export interface Point {
  tokens: number;
  step: number;
  evalLoss: number;
}

/** What one run gave. */
export interface RunResult {
  set: string;
  arm: ArmName;
  seed: number;
  points: Point[];
  /** Of the last point; null for a set without questions. */
  exact: ExactCount[] | null;
  seconds: number;
}

/** Trains one arm until the budget is spent. */
export async function trainArm(
  model: FastLanguageModel,
  set: TaskSet,
  hardness: Hardness,
  { name, seed, settings }: { name: ArmName; seed: number; settings: Settings },
): Promise<RunResult> {
  const { budget, evaluations, r, loraAlpha, ...args } = settings;
  const outputDir = mkdtempSync(join(tmpdir(), "tunesmith-curriculum-"));
  const spent = new AbortController();
  const points: Point[] = [];
  let [tokens, exact]: [number, ExactCount[] | null] = [0, null];
  const measure: TrainCallback = async (event, { session }) => {
    if (event.type !== "step") return;
    tokens += event.tokens;
    if (tokens < (budget / evaluations) * (points.length + 1)) return;
    points.push({ tokens, step: event.step, evalLoss: await heldOutLoss(session, set) });
    if (tokens < budget) return;
    exact = await exactMatch(session, model, set);
    spent.abort();
  };
  const began = performance.now();
  const trainer = new SFTTrainer({
    model: model.getPeftModel({ r, loraAlpha }),
    ...arm(name, set, hardness, budget),
    args: {
      ...args,
      ...{ outputDir: join(outputDir, "run"), seed, saveStrategy: "no" },
      // More than the budget allows.
      ...{ maxSteps: 1000, lrSchedulerType: "constant_with_warmup" },
    },
    callbacks: [measure],
  });
  try {
    await trainer.train({ signal: spent.signal });
  } catch (error) {
    if (!(error instanceof AbortError && spent.signal.aborted)) throw error;
  } finally {
    rmSync(outputDir, { recursive: true, force: true });
  }
  return { set: set.name, arm: name, seed, points, exact, seconds: (performance.now() - began) / 1000 };
}
