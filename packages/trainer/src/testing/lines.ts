// Reads files of JSON lines.
import { readFile } from "node:fs/promises";

/** The lines of a file of JSON lines. */
export async function lines(path: string): Promise<Record<string, number>[]> {
  const text = await readFile(path, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}
