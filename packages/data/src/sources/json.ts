// Rows of JSONL, or of one JSON array.
import { parseExact, slices } from "@tunesmith/core";
import { excerpt } from "./excerpt.ts";
import { elements, lines, type Piece } from "./pieces.ts";
import type { Row, RowMaker } from "./row.ts";

/** How JSON rows are laid out: one object per line, or one array of them. */
export type JsonLayout = "lines" | "array";

/** The rows of a file of JSON lines, or of one JSON array. */
export async function* jsonRows(
  chunks: AsyncIterable<Buffer>,
  layout: JsonLayout,
  maker: RowMaker,
): AsyncGenerator<Row> {
  const cut = layout === "array" ? elements : lines;
  for await (const piece of cut(chunks, maker.maxRowBytes)) {
    yield* rowOf(piece, layout, maker);
    if (slices.isOver) await slices.turn();
  }
}

function* rowOf(piece: Piece, layout: JsonLayout, maker: RowMaker): Generator<Row> {
  const { line, size, bytes, end } = piece;
  if (!maker.isWithin(line, size)) return;
  const text = maker.decode(bytes, line);
  if (text === null || (layout === "lines" ? text.trim() === "" : !isElement(text, piece, maker))) return;
  let value: unknown;
  try {
    value = parseExact(text);
  } catch (cause) {
    const expected = layout === "lines" ? "one JSON object per line" : "a JSON array of objects";
    const whole = end !== "file" || text.trimEnd().endsWith("}");
    const cut = whole ? "" : " (the file ends here without a line break: it may have been cut off)";
    const got = `${excerpt(text)}: ${(cause as Error).message}${cut}`;
    maker.refuse(line, `expected ${expected}, got ${got}; fix or remove the row`);
    return;
  }
  yield* maker.row(value, line, size);
}

/** Whether a piece of an array is an element; of what is neither that nor white space an error is noted. */
function isElement(text: string, { line, end }: Piece, maker: RowMaker): boolean {
  const blank = text.trim() === "";
  if (end === "rest" ? blank : blank && end === "]" && line === 1) return false;
  if (!blank && end !== "rest" && end !== "file") return true;
  const got =
    end === "rest"
      ? `${excerpt(text)} after its end`
      : end === "file"
        ? "the end of the file inside it: it may have been cut off"
        : "a comma without an element";
  maker.refuse(line, `expected a JSON array of rows, got ${got}; fix the file`);
  return false;
}
