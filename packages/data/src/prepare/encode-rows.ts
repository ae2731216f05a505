// Sends the items of rows through door A, and finds the row that a refused batch was refused for.
import type { Tokenizer } from "@tunesmith/core";
import { encodeItems } from "../encode/encode.ts";
import type { EncodedItem, EncodeOptions, Item } from "../encode/item.ts";
import type { RowErrors } from "../sources/row-errors.ts";
import type { Row } from "../sources/rows.ts";

/** A row, and what its format made of it. */
export interface ReadRow {
  row: Row;
  item: Item;
}

/** A row as ids and labels. */
export interface EncodedRow extends ReadRow {
  encoded: EncodedItem;
}

/** What a batch is encoded with. */
export interface EncodeRowsOptions extends EncodeOptions {
  tokenizer: Tokenizer;
  /** Whether other rows have been encoded: the template then is not at fault where it refuses all of a batch. */
  templateWorks: boolean;
  /** Stops between two rows of a batch that was refused. */
  signal?: AbortSignal | undefined;
}

/** Encodes rows. A batch that is refused is sent again row by row, so that the errors can name the lines. */
export async function encodeRows(
  read: readonly ReadRow[],
  options: EncodeRowsOptions,
  errors: RowErrors,
): Promise<EncodedRow[]> {
  const items = read.map(({ item }) => item);
  try {
    const encoded = await encodeItems(items, options.tokenizer, options);
    return read.map((entry, n) => ({ ...entry, encoded: encoded[n] as EncodedItem }));
  } catch (cause) {
    const { encoded, faults } = await encodeAlone(read, options);
    // A template that refuses every row is at fault itself.
    const template =
      !options.templateWorks &&
      read.length > 1 &&
      faults.length === read.length &&
      codeOf(cause) === "TEMPLATE_INVALID";
    if (template || faults.length === 0) throw cause;
    for (const { row, message } of faults) errors.add(row.source, row.line, message);
    return encoded;
  }
}

async function encodeAlone(read: readonly ReadRow[], options: EncodeRowsOptions) {
  const encoded: EncodedRow[] = [];
  const faults: { row: Row; message: string }[] = [];
  for (const entry of read) {
    options.signal?.throwIfAborted();
    try {
      const [one] = await encodeItems([entry.item], options.tokenizer, options);
      if (one !== undefined) encoded.push({ ...entry, encoded: one });
    } catch (cause) {
      if (!rowFaults.includes(codeOf(cause))) throw cause;
      faults.push({ row: entry.row, message: (cause as Error).message });
    }
  }
  return { encoded, faults };
}

/** Codes of errors that a single row can cause; a program's row may hold what JSON cannot. */
const rowFaults: readonly unknown[] = ["DATA_INVALID", "TEMPLATE_INVALID", "ARGUMENT_INVALID"];

/** Code of a typed error. */
function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
