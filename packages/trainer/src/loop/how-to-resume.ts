// How a run is gone on with, in words that can be pasted.
import type { RunInputs } from "./recipe.ts";

/** The command for a run on files; for rows and functions of a program, which no command can find again, the call. */
export function howToResume(
  path: string,
  { trainDataset, evalDataset, fromProgram = [] }: Pick<RunInputs, "trainDataset" | "evalDataset" | "fromProgram">,
): string {
  const onFiles = typeof trainDataset === "string" && (evalDataset === null || typeof evalDataset === "string");
  if (onFiles && fromProgram.length === 0) return `tunesmith resume ${forShell(path)}`;
  const same = ["rows", ...fromProgram].join(", ");
  return `train({ resumeFromCheckpoint: true }) of a trainer with the same ${same} and outputDir ${JSON.stringify(path)}`;
}

/** A path as one word of a shell. */
function forShell(path: string): string {
  return /^[\w@%+=:,./-]+$/u.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
