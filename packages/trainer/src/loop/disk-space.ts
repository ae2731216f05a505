// The free space of a disk against what the checkpoints of a run will take.
import { freeSpace, type MemoryPlan, plural } from "@tunesmith/core";
import type { Settled } from "../options/resolved.ts";
import type { BatchSampler } from "./batch-sampler.ts";
import { choosesBest } from "./best-checkpoint.ts";
import { listCheckpoints } from "./checkpoint.ts";

/** Allowance for the small files of a run, in bytes. */
const smallFiles = 4 * 2 ** 20;

const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

/** What a run will write, against what is free, in bytes. */
export interface DiskNeed {
  /** The most checkpoints that there will be at once, those that are there already aside. */
  checkpoints: number;
  /** Bytes of each. */
  checkpointBytes: number;
  /** Bytes of all of them, the result and the small files. */
  needed: number;
  /** Free bytes of the disk of `outputDir`; null where the system does not say. */
  free: number | null;
}

/** What a run will write after its first `done` steps, and what its disk has left now. */
export async function diskNeed(
  args: Settled,
  plan: Pick<MemoryPlan, "trained" | "optimizer">,
  batches: BatchSampler,
  done: number,
): Promise<DiskNeed> {
  const { outputDir } = args;
  const free = await freeSpace(outputDir);
  const there = (await listCheckpoints(outputDir)).length;
  const checkpoints = checkpointsToCome(args, dueSaves(args, batches, done), there);
  const checkpointBytes = plan.trained + plan.optimizer;
  // The result is written last: the weights alone.
  const needed = checkpoints * checkpointBytes + plan.trained + smallFiles;
  return { checkpoints, checkpointBytes, needed, free };
}

/** What to say of a run for whose checkpoints the disk lacks room now; null where there is enough, or the system does not say. */
export function spaceShortage({ outputDir, saveTotalLimit }: Settled, need: DiskNeed): string | null {
  const { checkpoints: count, checkpointBytes: each, needed, free } = need;
  if (free === null || needed <= free) return null;
  const limit = saveTotalLimit === null ? "set saveTotalLimit, " : "";
  return (
    `outputDir ${outputDir}: expected ${gigabytes(needed)} of free space for ${plural(count, "checkpoint")} of ${gigabytes(each)} and the result, ` +
    `got ${gigabytes(free)}; free some space, ${limit}or choose another outputDir`
  );
}

/**
 * The most checkpoints that there are at once beyond those that are there: within a limit one goes only after the next two are written,
 * the second for the proof of the first.
 */
function checkpointsToCome(args: Settled, due: number, there: number): number {
  const best = choosesBest(args) ? 1 : 0;
  const scheduled = args.saveTotalLimit === null ? due : Math.min(due, Math.max(2, args.saveTotalLimit + 2 - there));
  return scheduled + best;
}

/** Checkpoints that the options ask for after the first `done` steps. */
function dueSaves({ saveStrategy, saveSteps }: Settled, batches: BatchSampler, done: number): number {
  const total = batches.totalSteps;
  switch (saveStrategy) {
    case "no":
      return 0;
    case "end":
      return 1;
    case "steps":
      return Math.ceil(total / saveSteps) - Math.floor(done / saveSteps);
    case "epoch":
      return batches.epochEnds(done);
  }
}
