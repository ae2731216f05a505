// Mutants of the kernels that no suite can notice, each with the reason. One that a suite notices, or that is not there, does not belong here.
import type { Mutant } from "./mutants.ts";

/** A mutant by what its line says and what is done to it, so that it is found when lines move. */
export interface Survivor {
  file: string;
  text: string;
  change: string;
  why: string;
}

export const survivors: readonly Survivor[] = [];

/** The sentence for a mutant. */
export function survivorOf({ file, text, change }: Mutant): Survivor | undefined {
  return survivors.find((known) => known.file === file && known.text === text && known.change === change);
}
