// Folders and rows for tests.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fresh folder, deleted by what is handed to `onTestFinished`. */
export async function scratchFolder(onTestFinished: (cleanUp: () => Promise<void>) => void): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "tunesmith-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Conversations of varying length whose answers can be learnt. */
export function conversations(count: number): { messages: { role: string; content: string }[] }[] {
  return Array.from({ length: count }, (_, n) => ({
    messages: [
      { role: "user", content: `say ${"abc".repeat((n % 4) + 1)}${n}` },
      { role: "assistant", content: "xyz".repeat((n % 3) + 1) },
    ],
  }));
}
