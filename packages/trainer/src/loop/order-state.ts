// Notices that the sampler of a program gives another order than before the run was stopped.
import { createHash } from "node:crypto";
import { CheckpointError } from "@tunesmith/core";
import { z } from "zod";
import type { EpochBatchSampler } from "./batch-sampler.ts";
import type { RecipeState } from "./recipe.ts";

const savedOrder = z.object({ step: z.int().nonnegative(), order_sha256: z.string() });

/** The order of the epoch that a run is in, as a state that is saved and compared. */
export function orderState(batches: EpochBatchSampler): RecipeState {
  const orderAt = (step: number) => createHash("sha256").update(batches.orderAt(step)).digest("hex");
  return {
    save: (step) => ({ step, order_sha256: orderAt(step) }),
    load(state) {
      const { data } = savedOrder.safeParse(state);
      if (data !== undefined && data.order_sha256 === orderAt(data.step)) return;
      throw new CheckpointError(
        `[sampler] expected the order of rows that the run began with, got another for the epoch of step ${data?.step ?? "of the checkpoint"}; give the same sampler, which must not depend on anything else, or start a new run`,
      );
    },
  };
}
