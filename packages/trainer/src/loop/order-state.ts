// What a checkpoint holds of the order of rows: what the model found of them, and a sum of the order that a program gave.
import { createHash } from "node:crypto";
import { CheckpointError } from "@tunesmith/core";
import * as z from "zod";
import type { EpochBatchSampler } from "./epoch-batch-sampler.ts";
import type { MeasuredOrder } from "./measured-order.ts";
import type { RecipeState } from "./recipe.ts";

const savedOrder = z.object({ step: z.int().nonnegative(), order_sha256: z.string() });
const savedParts = z.object({ difficulty: z.unknown() });

/** What an order depends on besides options and rows. */
export interface OrderOrigin {
  /** Whether a program gives it. */
  isOfProgram: boolean;
  measured: MeasuredOrder | undefined;
}

/** The order of the epoch that a run is in, as a state that is saved and compared; undefined where options and rows say it all. */
export function orderState(
  batches: EpochBatchSampler,
  { isOfProgram, measured }: OrderOrigin,
): RecipeState | undefined {
  if (!isOfProgram && measured === undefined) return undefined;
  const orderAt = async (step: number) =>
    createHash("sha256")
      .update(await batches.orderAt(step))
      .digest("hex");
  return {
    save: async (step) => ({
      ...(isOfProgram && { step, order_sha256: await orderAt(step) }),
      ...(measured !== undefined && { difficulty: measured.save() }),
    }),
    async load(state) {
      await measured?.load(savedParts.safeParse(state).data?.difficulty);
      if (!isOfProgram) return;
      const { data } = savedOrder.safeParse(state);
      if (data !== undefined && data.order_sha256 === (await orderAt(data.step))) return;
      throw new CheckpointError(
        `[sampler] expected the order of rows that the run began with, got another for the epoch of step ${data?.step ?? "of the checkpoint"}; give the same sampler, which must not depend on anything else, or start a new run`,
      );
    },
  };
}
