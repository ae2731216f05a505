// What supervised fine-tuning minimises, and what it evaluates with.
import type { Objective, ParsedSFTConfig } from "@tunesmith/core";

/** Options that decide it. */
export type LossOptions = Pick<ParsedSFTConfig, "lossType" | "labelSmoothingFactor" | "zLossMultiplier">;

/** What a step minimises. Smoothing and z-loss are of nll alone, as in TRL. */
export function objectiveOf({ lossType, labelSmoothingFactor, zLossMultiplier }: LossOptions): Objective {
  if (lossType === "dft") return { type: "dft" };
  return { type: "nll", labelSmoothing: labelSmoothingFactor, zLoss: zLossMultiplier };
}

/** What `evalLoss` is the mean of: what is minimised (TRL), without the term that is no likelihood. */
export function evalObjectiveOf(options: LossOptions): Objective {
  return objectiveOf({ ...options, zLossMultiplier: 0 });
}

/** What to say of a name that another one stands for here; nothing for one that is here itself. */
export function lossNotes({ lossType }: Pick<LossOptions, "lossType">): string[] {
  return lossType === "chunked_nll" ? ["lossType chunked_nll is nll here: logits exist in chunks in any case"] : [];
}
