// Files of rows for tests, and what is read of a source.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { RowErrors } from "../sources/row-errors.ts";
import { type Row, readRows } from "../sources/rows.ts";

/** A file of rows, deleted after the test. */
export async function rowsFile(content: string | Uint8Array, name = "rows.jsonl"): Promise<string> {
  const path = join(await scratchFolder(onTestFinished), name);
  await writeFile(path, content);
  return path;
}

/** All rows of a source; bad ones throw as they do in a run. */
export async function readAll(source: Parameters<typeof readRows>[0], maxRowBytes = 1 << 24): Promise<Row[]> {
  const errors = new RowErrors();
  const rows: Row[] = [];
  for await (const row of readRows(source, { name: "memory", maxRowBytes }, errors)) rows.push(row);
  errors.throwIfAny();
  return rows;
}

/** The fields of all rows of a source. */
export async function fieldsOf(source: Parameters<typeof readRows>[0]): Promise<Row["fields"][]> {
  return (await readAll(source)).map(({ fields }) => fields);
}
