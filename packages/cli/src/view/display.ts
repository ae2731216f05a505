// Paths as a person would type them.
import { relative } from "node:path";
import { terminalText } from "@tunesmith/core";

/** A path as one would type it here, safe to show. */
export function display(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return terminalText(fromHere !== "" && fromHere.length < path.length ? fromHere : path);
}
