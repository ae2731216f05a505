// How fast a run with these options is here: a few passes and updates of the real model on generated rows.
import type { Batch, LanguageModel, ParsedSFTConfig } from "@tunesmith/core";
import { batchLimit } from "../loop/batch-room.ts";
import { decideCheckpointing } from "../memory/estimate.ts";
import { checkMemory } from "../memory/shortage.ts";
import { asOptionError, sessionOptions } from "../options/session-options.ts";
import { type EstimateOptions, settingOf } from "./estimate-memory.ts";

/** Passes that are not measured, since memory is touched and caches are filled in them. */
const warmPasses = 3;
/** Passes whose median counts: few, since one of a CPU takes seconds. */
const measuredPasses = 5;

/** What {@link measureSpeed} has measured. */
export interface SpeedEstimate {
  /** Where it was computed, as the session calls it. */
  device: string;
  /** Rows of a pass, and tokens of each: `maxLength`, or the model's context where that is less. */
  rows: number;
  rowTokens: number;
  /** Passes that ran before, and passes that were measured. */
  warmPasses: number;
  measuredPasses: number;
  /** Medians, in seconds: forward and backward of a pass, and the update at the end of a step. */
  passSeconds: number;
  updateSeconds: number;
  /** Rows of a step, and how long that step takes. */
  stepRows: number;
  stepSeconds: number;
  /** Seconds of `maxSteps` such steps; null where epochs decide how many there are. */
  runSeconds: number | null;
  /** Tokens a second of such steps. */
  tokensPerSecond: number;
  /** Bytes that the session held at most, as the engine counts them: of the GPU's memory where it computes there. */
  peakBytes: number;
}

/** Rows of a step, each as long as it may be. */
function rowsOfStep(args: ParsedSFTConfig, rowTokens: number): number {
  const { rows, tokens } = batchLimit(args);
  return args.gradientAccumulationSteps * Math.max(1, Math.min(rows, Math.floor(tokens / rowTokens)));
}

/** Rows of generated tokens, each of which is predicted. */
export function generatedBatch(rows: number, length: number, vocabSize: number): Batch {
  const inputIds = Int32Array.from({ length: rows * length }, (_, place) => (place * 7919 + 13) % vocabSize);
  return {
    inputIds,
    labels: inputIds,
    positions: inputIds.map((_, place) => place % length),
    sequenceStarts: Int32Array.from({ length: rows + 1 }, (_, row) => row * length),
    microBatch: new Int32Array(rows),
    rowIds: Int32Array.from({ length: rows }, (_, row) => row),
  };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

/**
 * Measures how fast a run with these options would be here: reads the weights, runs 3 passes to warm up and 5 that are timed, each with an
 * update at a learning rate of 0, on generated rows of `maxLength` tokens, each of which is trained on: a token of shorter rows costs less
 * attention. Evaluations, checkpoints, answers and the reading of rows are not in it. Rejects with `OutOfMemoryError`
 * where the run does not fit (`memoryCheck`), else as a run does.
 */
export async function measureSpeed(model: LanguageModel, options: EstimateOptions = {}): Promise<SpeedEstimate> {
  const { args, peft, pass } = settingOf(model, options, "measureSpeed");
  const rowTokens = pass.longest;
  const stepRows = rowsOfStep(args, rowTokens);
  const rows = Math.max(1, Math.min(stepRows, Math.floor(pass.tokens / rowTokens)));
  const { objective = { type: "nll" } } = pass;
  const gradientCheckpointing = await decideCheckpointing(model, args, peft, pass);
  const wanted = sessionOptions({ ...args, gradientCheckpointing }, peft);
  await checkMemory(model, wanted, pass, args.memoryCheck);
  const session = await model.createSession(wanted).catch(asOptionError);
  try {
    const batch = generatedBatch(rows, rowTokens, model.info.vocabSize);
    const learningRates = new Float64Array(session.info.parameterGroups.length);
    const [passes, updates]: [number[], number[]] = [[], []];
    for (let step = 1; step <= warmPasses + measuredPasses; step += 1) {
      const begun = performance.now();
      await session.accumulate(batch, { objective, step, seed: args.seed });
      const passed = performance.now();
      await session.update({ learningRates, maxGradNorm: args.maxGradNorm, denominator: rows * rowTokens });
      if (step <= warmPasses) continue;
      passes.push((passed - begun) / 1000);
      updates.push((performance.now() - passed) / 1000);
    }
    const [passSeconds, updateSeconds] = [median(passes), median(updates)];
    const stepSeconds = (passSeconds * stepRows) / rows + updateSeconds;
    const tokensPerSecond = (stepRows * rowTokens) / stepSeconds;
    const runSeconds = args.maxSteps > 0 ? args.maxSteps * stepSeconds : null;
    const device = session.info.backend;
    const peakBytes = session.memory().peak;
    return {
      ...{ device, rows, rowTokens, warmPasses, measuredPasses, passSeconds, updateSeconds },
      ...{ stepRows, stepSeconds, runSeconds, tokensPerSecond, peakBytes },
    };
  } finally {
    session.dispose();
  }
}
