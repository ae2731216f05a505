// Writes a copy of a file of rows without some of them: in the same format, every byte of the others as it was.
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { DataError, expandHome, refuseInput, replaceFile } from "@tunesmith/core";
import { type OpenedFile, openFile } from "../sources/chunks.ts";
import { type Layout, layoutOf } from "../sources/file-kind.ts";
import { unpacked } from "../sources/gzip.ts";
import { elements, lines } from "../sources/pieces.ts";
import { type DatasetSource, pathsOf } from "../sources/source.ts";
import type { AuditRow } from "./audit-row.ts";
import type { AuditCode } from "./finding.ts";
import type { ReadForAudit } from "./read-rows.ts";
import type { FixedCopy } from "./report.ts";

/** Bytes that a line of a table may have: what is read here was read before. */
const longest = 1 << 28;

/** A copy that will be written: from where, and to where. */
export interface CopyPaths {
  input: string;
  path: string;
}

/**
 * Where a copy is read from and written to. Any source but one file is a `DataError`; a target over what is read, the set to evaluate with
 * included, an `ArgumentError`.
 */
export async function copyPaths(
  source: DatasetSource,
  evalDataset: DatasetSource | null,
  target: string,
): Promise<CopyPaths> {
  const [input, ...others] = pathsOf(source) ?? [];
  if (input === undefined || others.length > 0)
    throw new DataError("[fix] expected a data set of one file, got another; clean its files one by one");
  const path = expandHome(target);
  await refuseInput(path, [input, ...((evalDataset === null ? null : pathsOf(evalDataset)) ?? [])]);
  return { input, path };
}

/** What a copy leaves out: rows, each by the code that names it, and lines that hold none. */
export interface Removed {
  rows: ReadonlyMap<AuditRow, AuditCode>;
  badLines: readonly number[];
}

/** Writes the copy, and says what went. A Parquet file is a `DataError`. */
export async function writeFixed(
  { input, path }: CopyPaths,
  { rows: removed, badLines: removedLines }: Removed,
  { rows, badLines }: ReadForAudit,
  signal: AbortSignal | undefined,
): Promise<FixedCopy> {
  const gone = new Set([...removedLines, ...[...removed.keys()].map(({ line }) => line)]);
  // Also of lines that stay: what follows a row that goes must not go with it.
  const starts = new Set([...badLines, ...rows.map(({ line }) => line)]);
  const file = await openFile(input, { signal });
  try {
    const isPacked = layoutOf(file.head, input) === "gzip";
    const inner = isPacked ? await unpacked(file.chunks, input) : file;
    const layout = layoutOf(inner.head, input);
    if (layout === "parquet" || layout === "gzip")
      throw new DataError(`[fix] ${input}: expected JSONL, a JSON array or CSV, got Parquet; write it as JSONL first`);
    const text = () => Readable.from(kept(inner, layout, gone, starts));
    await replaceFile(path, (temporary) => {
      const file = createWriteStream(temporary);
      return isPacked ? pipeline(text(), createGzip(), file, { signal }) : pipeline(text(), file, { signal });
    });
  } finally {
    await file.close();
  }
  const reasons: FixedCopy["reasons"] = {};
  for (const code of removed.values()) reasons[code] = (reasons[code] ?? 0) + 1;
  const lines = removedLines.length;
  if (lines > 0) reasons["unusable-row"] = (reasons["unusable-row"] ?? 0) + lines;
  return { path, kept: rows.length + badLines.length - removed.size - lines, removed: removed.size + lines, reasons };
}

/** What is left of a file: in a table a row may go over many lines, up to where the next one starts. */
async function* kept(
  { chunks }: OpenedFile,
  layout: Exclude<Layout, "parquet" | "gzip">,
  gone: ReadonlySet<number>,
  starts: ReadonlySet<number>,
): AsyncGenerator<Buffer> {
  if (layout === "array") return yield* keptElements(chunks, gone);
  let isGone = false;
  for await (const { line, bytes, end } of lines(chunks, longest)) {
    if (starts.has(line)) isGone = gone.has(line);
    if (isGone) continue;
    yield bytes;
    if (end === "\n") yield Buffer.from("\n");
  }
}

async function* keptElements(chunks: AsyncIterable<Buffer>, gone: ReadonlySet<number>): AsyncGenerator<Buffer> {
  let separator = "[";
  for await (const { line, bytes, end } of elements(chunks, longest)) {
    if (end === "rest" || end === "file" || gone.has(line) || bytes.toString("latin1").trim() === "") continue;
    yield Buffer.from(separator);
    yield bytes;
    separator = ",";
  }
  yield Buffer.from(separator === "[" ? "[]\n" : "]\n");
}
