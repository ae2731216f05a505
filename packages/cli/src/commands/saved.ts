// What is saved of a run, asked of its folder at the moment when it matters.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { howToResume } from "@tunesmith/trainer";
import { display } from "../view/display.ts";

/** What is left of a run on files that is stopped at once. `runDir`: null where it has no folder yet. */
export function whatIsSaved(runDir: string | null): string {
  const newest = runDir === null ? null : newestCheckpoint(runDir);
  if (runDir === null || newest === null) return "nothing has been saved";
  const files = { trainDataset: "rows.jsonl", evalDataset: null };
  return `the newest checkpoint is ${display(newest)}; continue with: ${howToResume(runDir, files)}`;
}

/** Checkpoints appear whole or not at all, so the one with the largest number is the newest. */
function newestCheckpoint(runDir: string): string | null {
  try {
    const steps = readdirSync(runDir).flatMap((name) => /^checkpoint-(\d+)$/u.exec(name)?.[1] ?? []);
    const newest = Math.max(...steps.map(Number));
    return steps.length === 0 ? null : join(runDir, `checkpoint-${newest}`);
  } catch {
    return null;
  }
}
