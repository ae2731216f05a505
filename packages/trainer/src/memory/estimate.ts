// Memory of a session against what is free, before its weights are read.
import type {
  LanguageModel,
  MemoryPlan,
  ParsedLoraConfig,
  ParsedTrainingArguments,
  PassShape,
  SessionOptions,
} from "@tunesmith/core";
import { sessionOptions } from "../options/session-options.ts";
import { freeMemory } from "./free-memory.ts";

/** Memory that the engine does not account for: thread stacks and workspaces, batches, the loop. `npm run bench -- memory` found 4 to 8 MiB in five settings. */
const overhead = 16 * 2 ** 20;
/** The same on a GPU: code of the kernels, and the vendor's library with its workspace of 32 MiB. An allowance, not a measurement. */
export const gpuOverhead = 256 * 2 ** 20;

/** A memory plan against what is free, in bytes. */
export interface MemoryEstimate {
  /** Where the memory goes. */
  plan: MemoryPlan;
  /** The largest pass. */
  pass: PassShape;
  /** The most this run will take beyond what the process holds already. */
  needed: number;
  /** What the machine and its control groups leave; on a GPU what its driver calls free. */
  free: number;
  /** Whether layers are computed again in backward: what `gradientCheckpointing` says, or `"auto"` comes to. */
  gradientCheckpointing: boolean;
}

/**
 * Plans a session and measures what is free.
 *
 * @param hostFree free memory of the host in bytes, for tests
 */
export async function estimateSession(
  model: LanguageModel,
  options: SessionOptions,
  pass: PassShape,
  hostFree = freeMemory(),
): Promise<MemoryEstimate> {
  const plan = await model.estimateMemory(options, pass);
  const needed = Math.max(plan.peak, plan.loading) + (plan.free === null ? overhead : gpuOverhead);
  return { plan, pass, needed, free: plan.free ?? hostFree, gradientCheckpointing: options.gradientCheckpointing };
}

/**
 * Whether a run computes its layers again in backward. `"auto"` does so only where the run would not fit the free memory without; it is
 * asked once per run, since an answer from what is free later could be another.
 */
export async function decideCheckpointing(
  model: LanguageModel,
  args: ParsedTrainingArguments,
  peft: ParsedLoraConfig,
  pass: PassShape,
  hostFree = freeMemory(),
): Promise<boolean> {
  if (args.gradientCheckpointing !== "auto") return args.gradientCheckpointing;
  const { needed, free } = await estimateSession(model, sessionOptions(args, peft), pass, hostFree);
  return needed > free;
}
