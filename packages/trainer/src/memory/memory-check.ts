// Whether a run fits the memory that is free, before its weights are read.
import {
  type GivenOptions,
  type LanguageModel,
  type LoraConfig,
  loraConfigSchema,
  type MemoryPlan,
  OutOfMemoryError,
  type ParsedLoraConfig,
  type ParsedSFTConfig,
  type PassShape,
  parseOptions,
  type SessionOptions,
  type SFTConfig,
  sftConfigSchema,
} from "@tunesmith/core";
import { coalesce, type Example } from "@tunesmith/data";
import type { StepPlan } from "../loop/plan.ts";
import { sessionOptions } from "../options/session-options.ts";
import { freeMemory } from "./free-memory.ts";

/** What a run takes beside the engine's own accounts: threads' working memory, the batches, the loop. `npm run bench -- memory` found 4 to 8 MiB in five settings. */
const besides = 16 * 2 ** 20;
/** The same on a GPU: code of the kernels, and the vendor's library with its workspace of 32 MiB. An allowance, not a measurement. */
const besidesOnGpu = 256 * 2 ** 20;
/** Rows whose passes are looked at one by one; a longer run is taken to go on as it began. */
const mostRows = 200_000;

/** A plan beside what is free, in bytes. */
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

/** What {@link estimateMemory} is asked about; the options are those of a run. */
export interface EstimateOptions {
  /** Options of the run. Default: those of `SFTConfig`. */
  args?: SFTConfig | GivenOptions;
  /** Options of the adapter. Default: those of `LoraConfig`. */
  peftConfig?: LoraConfig | GivenOptions;
  /** The largest pass. Default: as many tokens as `tokenBudget` and the batch of a step allow, in sequences of `maxLength`. */
  pass?: PassShape;
}

/**
 * What a run with these options will take, and what is free, before any weight is read. A run plans with its own rows; here, where
 * there are none, every row is taken to be as long as `maxLength` allows, so that no run of these options takes more.
 */
export async function estimateMemory(model: LanguageModel, options: EstimateOptions = {}): Promise<MemoryEstimate> {
  const args = parseOptions(sftConfigSchema, options.args ?? {});
  const peft = parseOptions(loraConfigSchema, options.peftConfig ?? {});
  const pass = options.pass ?? fullPass(args, model.info.maxPositionEmbeddings);
  const gradientCheckpointing = await decideCheckpointing(model, args, peft, pass);
  return planMemory(model, sessionOptions({ ...args, gradientCheckpointing }, peft), pass);
}

/**
 * Whether a run computes its layers again in backward. `"auto"` does so only where the run would not fit the free memory without; it is
 * asked once per run, since an answer from what is free later could be another.
 */
export async function decideCheckpointing(
  model: LanguageModel,
  args: ParsedSFTConfig,
  peft: ParsedLoraConfig,
  pass: PassShape,
  hostFree = freeMemory(),
): Promise<boolean> {
  if (args.gradientCheckpointing !== "auto") return args.gradientCheckpointing;
  const { needed, free } = await planMemory(model, sessionOptions(args, peft), pass, hostFree);
  return needed > free;
}

function fullPass(args: ParsedSFTConfig, context: number): PassShape {
  const longest = Math.min(args.maxLength ?? context, context);
  const step = args.perDeviceTrainBatchSize * args.gradientAccumulationSteps * longest;
  return { tokens: Math.max(longest, Math.min(args.tokenBudget, step)), longest };
}

/** What to say of options that do not fit; null where they do. */
export function memoryShortage(
  model: LanguageModel,
  estimate: MemoryEstimate,
  options: EstimateOptions = {},
): string | null {
  const { gradientCheckpointing } = estimate;
  const args = { ...parseOptions(sftConfigSchema, options.args ?? {}), gradientCheckpointing };
  const session = sessionOptions(args, parseOptions(loraConfigSchema, options.peftConfig ?? {}));
  return shortage(estimate, session, model.weightOptions.loadIn4bit);
}

/** Plans a session and measures what is free. */
async function planMemory(
  model: LanguageModel,
  options: SessionOptions,
  pass: PassShape,
  hostFree = freeMemory(),
): Promise<MemoryEstimate> {
  const plan = await model.estimateMemory(options, pass);
  const needed = Math.max(plan.peak, plan.loading) + (plan.free === null ? besides : besidesOnGpu);
  return { plan, pass, needed, free: plan.free ?? hostFree, gradientCheckpointing: options.gradientCheckpointing };
}

/** The largest pass of a run: that of its steps with the most tokens, and the longest sequence of all. */
export function largestPass(steps: Iterable<StepPlan>, examples: readonly Example[], tokenBudget: number): PassShape {
  let [tokens, longest, rows] = [1, 1, 0];
  for (const { microBatches } of steps) {
    const batches = microBatches.map((indices) => Array.from(indices, (index) => examples[index] as Example));
    for (const pass of coalesce(batches, tokenBudget)) {
      const lengths = pass.map(({ example }) => example.length);
      tokens = Math.max(
        tokens,
        lengths.reduce((sum, length) => sum + length, 0),
      );
      longest = Math.max(longest, ...lengths);
      rows += lengths.length;
    }
    if (rows > mostRows) break;
  }
  return { tokens, longest };
}

const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

/** Where the memory goes, largest first. */
function parts({ plan }: MemoryEstimate): string {
  const named: [string, number][] = [
    ["weights", plan.weights],
    ["trained tensors", plan.trained],
    ["gradients", plan.gradients],
    ["optimizer", plan.optimizer],
    ["activations", plan.activations],
  ];
  const large = named.filter(([, bytes]) => bytes > 0).sort((a, b) => b[1] - a[1]);
  return large.map(([name, bytes]) => `${name} ${gigabytes(bytes)}`).join(", ");
}

/** What would make the run smaller, the most effective first. */
function advice({ plan, pass }: MemoryEstimate, options: SessionOptions, loadIn4bit: boolean): string {
  const ways: [boolean, string, number][] = [
    [
      options.adapter === null && options.optimizer !== null,
      "train an adapter in place of all weights",
      plan.optimizer + plan.gradients,
    ],
    [!options.gradientCheckpointing, "set gradientCheckpointing", plan.activations / 2],
    [pass.tokens > pass.longest, `lower tokenBudget below ${pass.tokens}`, plan.activations / 2],
    [pass.longest > 256, `lower maxLength below ${pass.longest}`, plan.activations / 3],
    [!loadIn4bit && options.adapter !== null, "set loadIn4bit", (plan.weights * 3) / 4],
  ];
  const possible = ways.filter(([applies]) => applies).sort((a, b) => b[2] - a[2]);
  return [...possible.map(([, way]) => way), "take a smaller model"].join(", ");
}

/**
 * What to say of a run that does not fit; null where it does.
 *
 * @param loadIn4bit whether the weights are held in four bits already
 */
function shortage(estimate: MemoryEstimate, options: SessionOptions, loadIn4bit: boolean): string | null {
  const { plan, needed, free } = estimate;
  if (needed <= free) return null;
  const where = plan.free === null ? "free memory" : `free memory on the ${plan.device} device`;
  return (
    `expected ${gigabytes(needed)} of ${where}, got ${gigabytes(free)} (${parts(estimate)}); ` +
    `${advice(estimate, options, loadIn4bit)}, or set memoryCheck to "warn" to try anyway`
  );
}

/** Refuses a run that does not fit, or gives a warning where `memoryCheck` says so. */
export async function checkMemory(
  model: LanguageModel,
  options: SessionOptions,
  pass: PassShape,
  memoryCheck: "refuse" | "warn" | "off",
  hostFree = freeMemory(),
): Promise<string | null> {
  if (memoryCheck === "off") return null;
  const estimate = await planMemory(model, options, pass, hostFree);
  const message = shortage(estimate, options, model.weightOptions.loadIn4bit);
  if (message !== null && memoryCheck === "refuse") throw new OutOfMemoryError(`[memory] ${message}`);
  return message === null ? null : `memory: ${message}`;
}
