// What a run remembers for the rules of its health: a part of a checkpoint, so that what was told once is told once.
import * as z from "zod";
import type { HealthEvaluation, HealthReport, HealthSamples, HealthStep } from "./rule.ts";

/** How many are kept of each. */
const kept = { steps: 100, firstLosses: 50, evaluations: 4 } as const;

/** What a run remembers for the rules of its health. Plain values: it is part of a checkpoint. */
export interface HealthState {
  steps: HealthStep[];
  firstLosses: number[];
  evaluations: HealthEvaluation[];
  samples: HealthSamples | null;
  firstSamples: HealthSamples | null;
  /** Untrained tokens of the rows so far. */
  untrained: number[];
  /** What has been told, with what each was about. */
  told: (HealthReport & { about: string | null })[];
}

/** Before the first step. */
export function emptyHealth(): HealthState {
  return { steps: [], firstLosses: [], evaluations: [], samples: null, firstSamples: null, untrained: [], told: [] };
}

/** Takes in a step. */
export function addStep(state: HealthState, step: HealthStep): void {
  state.steps = [...state.steps, step].slice(-kept.steps);
  if (Number.isFinite(step.loss) && state.firstLosses.length < kept.firstLosses) state.firstLosses.push(step.loss);
}

/** Takes in an evaluation. */
export function addEvaluation(state: HealthState, evaluation: HealthEvaluation): void {
  state.evaluations = [...state.evaluations, evaluation].slice(-kept.evaluations);
}

/** Takes in a round of samples. */
export function addSamples(state: HealthState, samples: HealthSamples): void {
  state.samples = samples;
  if (samples.step === 0) state.firstSamples = samples;
}

/** Whether a rule has said this before. */
export function isTold({ told }: HealthState, rule: string, about: string | null): boolean {
  return told.some((one) => one.rule === rule && one.about === about);
}

/** A value that need not be finite: JSON has null in place of those that are not. */
const value = z
  .number()
  .nullable()
  .transform((given) => given ?? Number.NaN);
const step = z.int().nonnegative();
const answer = z.object({
  prompt: z.string(),
  completion: z.string(),
  reference: z.string().nullable(),
  tokens: step,
  isCut: z.boolean(),
  repeated: z.number(),
});
const samples = z.object({ step, answers: z.array(answer) }).nullable();

/** A {@link HealthState} as it is read back. */
export const healthStateSchema: z.ZodType<HealthState> = z.object({
  steps: z.array(
    z.object({
      ...{ step, loss: value, learningRate: value, gradNorm: value, seconds: z.number(), waitSeconds: z.number() },
      metrics: z.record(z.string(), value).default({}),
    }),
  ),
  firstLosses: z.array(z.number()),
  evaluations: z.array(z.object({ step, evalLoss: value, trainLoss: value })),
  samples,
  firstSamples: samples,
  untrained: z.array(step),
  told: z.array(
    z.object({
      rule: z.string(),
      step,
      message: z.string(),
      value,
      remedy: z.string(),
      rows: z.array(z.string()),
      about: z.string().nullable(),
    }),
  ),
});
