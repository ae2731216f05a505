// How a run is gone on with, in words that can be pasted.
import type { RunInputs } from "./recipe.ts";

/** The command for a run on files; for rows given in memory, which no command can find again, the call. */
export function howToResume(
  path: string,
  { trainDataset, evalDataset }: Pick<RunInputs, "trainDataset" | "evalDataset">,
): string {
  const onFiles = typeof trainDataset === "string" && (evalDataset === null || typeof evalDataset === "string");
  return onFiles
    ? `tunesmith resume ${forShell(path)}`
    : `train({ resumeFromCheckpoint: true }) of a trainer with the same rows and outputDir ${JSON.stringify(path)}`;
}

/** A path as one word of a shell. */
function forShell(path: string): string {
  return /^[\w@%+=:,./-]+$/u.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
