// A fresh folder for a test.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fresh folder, deleted by what is handed to `onTestFinished`. */
export async function scratchFolder(onTestFinished: (cleanUp: () => Promise<void>) => void): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "tunesmith-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}
