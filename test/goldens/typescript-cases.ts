// Every golden that goes through the TypeScript packages, one group after the other.
import { chatTemplates } from "./cases/chat-templates.ts";
import { dpoLosses } from "./cases/dpo-losses.ts";
import { dpoRefused } from "./cases/dpo-refused.ts";
import { dpoRows } from "./cases/dpo-rows.ts";
import { dpoRuns } from "./cases/dpo-runs.ts";
import { grpoAdvantages, grpoEntropyControl } from "./cases/grpo-advantages.ts";
import { grpoGradients } from "./cases/grpo-gradients.ts";
import { grpoLosses } from "./cases/grpo-losses.ts";
import { grpoRuns } from "./cases/grpo-runs.ts";
import { grpoSampler } from "./cases/grpo-sampler.ts";
import { losses } from "./cases/losses.ts";
import { ownObjectives } from "./cases/own-objectives.ts";
import { schedules } from "./cases/schedules.ts";
import { smollm2 } from "./cases/smollm2.ts";
import { trlSft } from "./cases/trl-sft.ts";
import { unsupportedFeatures } from "./cases/unsupported.ts";
import type { Outcome } from "./outcome.ts";

/** Every golden that goes through the TypeScript packages, one group after the other. */
export async function* typescriptCases(root: string, smollm2Path: string | null): AsyncGenerator<Outcome> {
  for (const group of [
    schedules,
    losses,
    chatTemplates,
    trlSft,
    ownObjectives,
    dpoLosses,
    dpoRows,
    dpoRefused,
    dpoRuns,
    grpoLosses,
    grpoGradients,
    grpoAdvantages,
    grpoEntropyControl,
    grpoSampler,
    grpoRuns,
    (dir: string) => smollm2(dir, smollm2Path),
    unsupportedFeatures,
  ]) {
    yield* await group(root);
  }
}
