// Whether a run fits the memory that is free, and what to say where it does not.
import { type LanguageModel, OutOfMemoryError, type PassShape, type SessionOptions } from "@tunesmith/core";
import { estimateSession, type MemoryEstimate } from "./estimate.ts";
import { freeMemory } from "./free-memory.ts";

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
export function shortage(estimate: MemoryEstimate, options: SessionOptions, loadIn4bit: boolean): string | null {
  const { plan, needed, free } = estimate;
  if (needed <= free) return null;
  const where = plan.free === null ? "free memory" : `free memory on the ${plan.device} device`;
  return (
    `expected ${gigabytes(needed)} of ${where}, got ${gigabytes(free)} (${parts(estimate)}); ` +
    `${advice(estimate, options, loadIn4bit)}, or set memoryCheck to "warn" to try anyway`
  );
}

/** What a check of the memory found. */
export interface MemoryCheck {
  estimate: MemoryEstimate;
  /** Null where the run fits. */
  warning: string | null;
}

/**
 * Refuses a run that does not fit, or gives a warning where `memoryCheck` says so; null where it says not to look.
 *
 * @param hostFree free memory of the host in bytes, for tests
 */
export async function checkMemory(
  model: LanguageModel,
  options: SessionOptions,
  pass: PassShape,
  memoryCheck: "refuse" | "warn" | "off",
  hostFree = freeMemory(),
): Promise<MemoryCheck | null> {
  if (memoryCheck === "off") return null;
  const estimate = await estimateSession(model, options, pass, hostFree);
  const message = shortage(estimate, options, model.weightOptions.loadIn4bit);
  if (message !== null && memoryCheck === "refuse") throw new OutOfMemoryError(`[memory] ${message}`);
  return { estimate, warning: message === null ? null : `memory: ${message}` };
}
