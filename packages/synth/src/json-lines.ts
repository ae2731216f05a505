// The lines of a file of JSON lines, and what stands after the last line break.
import { DataError } from "@tunesmith/core";

/** Whole lines of a file, and what a killed process may have left of one more. */
export interface SplitLines {
  lines: string[];
  /** What follows the last line break. */
  rest: string;
  /** Bytes of the whole lines. */
  size: number;
}

/** Splits a file line by line: one text of it all could be longer than JavaScript allows. */
export function splitLines(bytes: Buffer): SplitLines {
  const lines: string[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push(bytes.toString("utf8", start, end));
    start = end + 1;
  }
  return { lines, rest: bytes.toString("utf8", start), size: start };
}

/** The value of a line; a `DataError` names the place of one that is not JSON. */
export function parsedLine(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(
      `[${place}] expected one JSON object per line, got ${JSON.stringify(text.slice(0, 60))}; fix or remove the line`,
      { cause },
    );
  }
}
