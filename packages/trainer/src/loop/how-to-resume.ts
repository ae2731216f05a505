// How a run is gone on with, in words that can be pasted.
import type { RunInputs } from "./recipe.ts";
import { datasetSpecs } from "./run-config.ts";

/** The command for a run on files; for rows and functions of a program, which no command can find again, the call. */
export function howToResume(
  path: string,
  inputs: Pick<RunInputs, "trainDataset" | "evalDataset" | "splitFrom" | "fromProgram">,
): string {
  const { evalDataset, splitFrom = null, fromProgram = [] } = inputs;
  const [data, evalData] = datasetSpecs(inputs);
  const onFiles = data !== null && (evalDataset === null || splitFrom !== null || evalData !== null);
  if (onFiles && fromProgram.length === 0) return `tunesmith resume ${forShell(path)}`;
  const same = ["rows", ...fromProgram].join(", ");
  return `train({ resumeFromCheckpoint: true }) of a trainer with the same ${same} and outputDir ${JSON.stringify(path)}`;
}

/** A path as one word of a shell. */
function forShell(path: string): string {
  return /^[\w@%+=:,./-]+$/u.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
