// Rows of a source, all at once.
import type { Row } from "./row.ts";

/** All rows, in memory: those of what can be read once only. */
export async function collect(rows: AsyncIterable<Row>): Promise<Row[]> {
  const all: Row[] = [];
  for await (const row of rows) all.push(row);
  return all;
}
