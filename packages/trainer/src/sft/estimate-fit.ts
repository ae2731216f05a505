// Where a run would fit: here and on known GPUs, and with how many rows in one pass.
import type { LanguageModel, MemoryPlan } from "@tunesmith/core";
import { estimateSession, gpuOverhead } from "../memory/estimate.ts";
import { freeMemory } from "../memory/free-memory.ts";
import { knownGpus, reservedShare } from "../memory/known-gpus.ts";
import { mostThatFits } from "../memory/most-that-fits.ts";
import { sessionOptions } from "../options/session-options.ts";
import { type EstimateOptions, settingOf } from "./estimate-memory.ts";

/** Rows of a batch that are asked for at most. */
export const mostBatchRows = 256;

/** The options of the largest batch that goes through the model in one pass. */
export interface LargestBatch {
  /** Its rows, each of `maxLength` tokens: at most 256. */
  perDeviceTrainBatchSize: number;
  /** Its tokens. */
  tokenBudget: number;
}

/** Whether a run fits GPUs of one size. */
export interface GpuFit {
  /** Some GPUs of this size, by the vendor's names. */
  names: string;
  /** Their memory in GB. */
  gigabytes: number;
  /** Bytes that a run may take there: the size in units of 10⁹ bytes, less 5 % and 256 MiB. An allowance, not a measurement. */
  usable: number;
  /** Whether a run with these options fits. */
  fits: boolean;
}

/** What {@link estimateFit} gives. */
export interface FitEstimate {
  /** Whose layout the plans are of: `cpu` or `cuda`. Plans of `cpu` are approximate for GPUs, where weights and activations may have another type. */
  layout: string;
  /** Whether layers are recomputed in backward: also where `gradientCheckpointing` is `"auto"`, since that is the most it comes to. */
  gradientCheckpointing: boolean;
  /** Whether a run with these options fits the memory that is free here. */
  fits: boolean;
  /** The largest batch that fits here; null where not even one row of `maxLength` does. */
  largestBatch: LargestBatch | null;
  /** Whether it fits GPUs, by their size, smallest first. */
  gpus: GpuFit[];
}

/** The most that a session holds at once, in bytes. */
const peakOf = ({ peak, loading }: MemoryPlan) => Math.max(peak, loading);

/**
 * Whether a run with these options fits the free memory here and the memory of known GPUs, and the largest batch that fits here, before any
 * weight is read. A larger batch than that fits too, in more passes of `tokenBudget` tokens. Layers are taken to be recomputed where
 * `gradientCheckpointing` is `"auto"`. Rejects as `estimateMemory` does.
 *
 * @param hostFree free memory of the host in bytes, for tests
 */
export async function estimateFit(
  model: LanguageModel,
  options: EstimateOptions = {},
  hostFree = freeMemory(),
): Promise<FitEstimate> {
  const { args, peft, pass } = settingOf(model, options, "estimateFit");
  const session = sessionOptions({ ...args, gradientCheckpointing: args.gradientCheckpointing !== false }, peft);
  const { plan, needed, free } = await estimateSession(model, session, pass, hostFree);
  const peak = peakOf(plan);
  const room = free - (needed - peak);
  const fitting = async (rows: number): Promise<boolean> => {
    const tokens = rows * pass.longest;
    return peakOf(await model.estimateMemory(session, { ...pass, tokens, supervised: tokens })) <= room;
  };
  const rows = await mostThatFits(fitting, mostBatchRows);
  const gpus = knownGpus.map(({ names, gigabytes }): GpuFit => {
    const usable = Math.floor(gigabytes * 1e9 * (1 - reservedShare)) - gpuOverhead;
    return { names, gigabytes, usable, fits: peak <= usable };
  });
  const { gradientCheckpointing } = session;
  const largestBatch = rows === 0 ? null : { perDeviceTrainBatchSize: rows, tokenBudget: rows * pass.longest };
  return { layout: plan.device, gradientCheckpointing, fits: peak <= room, largestBatch, gpus };
}
