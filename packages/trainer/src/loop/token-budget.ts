// The option autoFindBatchSize: passes are halved until the run fits the memory that is free.
import { OutOfMemoryError } from "@tunesmith/core";
import type { Settled } from "../options/resolved.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** Tokens of a pass below which halving saves nothing to speak of. */
const least = 32;

/**
 * Begins a run with ever smaller passes until its memory plan fits. A micro-batch is computed in as many passes as it needs, so that no
 * step and no metric changes. Rejects with what the smallest rejects with, and at once with anything else.
 *
 * @param checkpoint of a run that goes on: what was decided then stands
 */
export async function fitTokenBudget<Ready extends { warnings: string[] }>(
  args: Settled,
  checkpoint: Checkpoint | null,
  begin: (args: Settled) => Promise<Ready>,
): Promise<Ready> {
  if (!args.autoFindBatchSize) return begin(args);
  const decided = checkpoint?.trainer.config.tokenBudget;
  for (let tokenBudget = typeof decided === "number" ? decided : args.tokenBudget; ; ) {
    try {
      const ready = await begin({ ...args, tokenBudget });
      if (tokenBudget !== args.tokenBudget && checkpoint === null)
        ready.warnings.push(
          `autoFindBatchSize: a pass has ${tokenBudget} tokens in place of ${args.tokenBudget}, since the run would not fit otherwise; steps stay what they are`,
        );
      return ready;
    } catch (error) {
      const next = Math.floor(tokenBudget / 2);
      if (!OutOfMemoryError.isInstance(error) || next < least || decided !== undefined) throw error;
      tokenBudget = next;
    }
  }
}
