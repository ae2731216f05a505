// What callbacks steer a run with: requests that are taken after the step in hand, lines of metrics, the learning rate.
import { ArgumentError, DisposedError } from "@tunesmith/core";
import * as z from "zod";

/**
 * Steers a run, from callbacks and from anywhere else in the program. What is asked for is done after the step in hand, in the order
 * evaluation, samples, checkpoint, end; what comes too late for that is done after the next one. A checkpoint holds what is still to be done.
 */
export interface TrainControl {
  /** Ends the run well after the step in hand, with a checkpoint (unless `saveStrategy` is `no`) and a result whose `stoppedBy` is `callback`. */
  stop(): void;
  /** Evaluates. Without an evaluation set an `ArgumentError`. */
  evaluate(): void;
  /** Writes a checkpoint. */
  save(): void;
  /** Answers the sample prompts. Where there are none, an `ArgumentError`. */
  sample(): void;
  /** Writes a line of numbers to `metrics.jsonl` and to the event files, under their names as given. */
  log(metrics: Readonly<Record<string, number>>): void;
  /**
   * The learning rate from the next step on, that of `stepBegin` included, in place of the schedule; null: as the schedule has it. Parameter
   * groups with a peak of their own keep their ratio. It is kept in checkpoints.
   */
  setLearningRate(learningRate: number | null): void;
}

/** What callbacks have asked for and is still to be done. A part of `trainer_state.json`. */
export interface Asked {
  evaluate: boolean;
  sample: boolean;
  save: boolean;
  stop: boolean;
}

/** Nothing. */
export function nothingAsked(): Asked {
  return { evaluate: false, sample: false, save: false, stop: false };
}

/** An {@link Asked} as it is read back. */
export const askedSchema: z.ZodType<Asked> = z.object({
  evaluate: z.boolean(),
  sample: z.boolean(),
  save: z.boolean(),
  stop: z.boolean(),
});

/** How callbacks have set the learning rate. */
export interface LearningRateOverride {
  /** The rate that was set last; null: that of the schedule again. */
  learningRate: number | null;
  /** The first step that it counts for; null before that. */
  fromStep: number | null;
  /** How often it was set. */
  times: number;
}

/** An {@link LearningRateOverride} as it is read back. */
export const learningRateOverrideSchema: z.ZodType<LearningRateOverride> = z.object({
  learningRate: z.number().nonnegative().nullable(),
  fromStep: z.int().positive().nullable(),
  times: z.int().positive(),
});

/** The part of a run that is steered. */
export interface Steered {
  /** Null before the last step, then where the run has ended: its steps, or all of it. */
  over: "steps" | "run" | null;
  readonly hasEvaluation: boolean;
  readonly hasPrompts: boolean;
  readonly state: {
    readonly global_step: number;
    readonly epoch: number;
    asked: Asked;
    learning_rate_override: LearningRateOverride | null;
  };
  addMetrics(line: { step: number; [name: string]: unknown }): void;
}

/** The control of a run. */
export function controlOf(run: Steered): TrainControl {
  const { state } = run;
  const ask = (what: "evaluate" | "sample" | "save") => {
    refuseAfterSteps(run, what);
    state.asked[what] = true;
  };
  return {
    // What has ended is as it was asked to be.
    stop: () => {
      if (run.over === null) state.asked.stop = true;
    },
    evaluate: () => {
      if (!run.hasEvaluation) throw refused("evaluate", "an evaluation set", "none; give evalDataset");
      ask("evaluate");
    },
    save: () => ask("save"),
    sample: () => {
      const advice = "none; give samplePrompts, or an evaluation set of conversations or prompts";
      if (!run.hasPrompts) throw refused("sample", "prompts to answer", advice);
      ask("sample");
    },
    log: (metrics) => {
      if (run.over === "run") throw ended("log");
      checkMetrics(metrics);
      run.addMetrics({ step: state.global_step, epoch: state.epoch, ...metrics });
    },
    setLearningRate: (learningRate) => {
      refuseAfterSteps(run, "setLearningRate");
      if (learningRate !== null && !(Number.isFinite(learningRate) && learningRate >= 0)) {
        const got = `${shown(learningRate)}; give the rate itself, such as 1e-4`;
        throw refused("setLearningRate", "a finite number of at least 0, or null", got);
      }
      state.learning_rate_override = {
        learningRate,
        fromStep: null,
        times: (state.learning_rate_override?.times ?? 0) + 1,
      };
    },
  };
}

/** What was asked for after the last step that could have done it, in words; null for nothing. */
export function leftUndone({ evaluate, sample, save }: Asked): string | null {
  const left = Object.entries({ evaluate, sample, save }).flatMap(([name, is]) => (is ? [`control.${name}()`] : []));
  return left.length === 0
    ? null
    : `${left.join(", ")}: asked for after the last step had been looked at, so nothing came of it; ask on the event "step" or before`;
}

function checkMetrics(metrics: unknown): void {
  const isRecord = typeof metrics === "object" && metrics !== null && !Array.isArray(metrics);
  if (!isRecord) throw refused("log", "numbers by name", `${shown(metrics)}; give an object`);
  for (const [name, value] of Object.entries(metrics)) {
    if (name === "step" || name === "epoch")
      throw refused("log", "names of metrics", `${JSON.stringify(name)}, which the run writes itself; rename it`);
    if (typeof value !== "number") throw refused(`log.${name}`, "a number", `${shown(value)}; correct it`);
  }
}

function refuseAfterSteps({ over }: Steered, name: keyof TrainControl): void {
  if (over === "run") throw ended(name);
  if (over === "steps") throw refused(name, "a step to come", "a run that has taken its last; ask for it earlier");
}

function ended(name: keyof TrainControl): DisposedError {
  return new DisposedError(`[control] expected a run in progress, got ${name}() after its end`);
}

function refused(name: string, expected: string, got: string): ArgumentError {
  return new ArgumentError(`[control.${name}] expected ${expected}, got ${got}`);
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
