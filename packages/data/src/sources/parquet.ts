// Rows of Parquet, one row group after the other.
import { open } from "node:fs/promises";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { DataError, FileSystemError, parseExact, slices, TunesmithError } from "@tunesmith/core";
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync } from "hyparquet";
import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { compressors, decompressZstd } from "hyparquet-compressors";
import { excerpt } from "./excerpt.ts";
import type { Decoding } from "./parquet-column.ts";
import { groupRows } from "./parquet-group.ts";
import { checkRowGroup } from "./parquet-pages.ts";
import { columnsOf, ValueError } from "./parquet-values.ts";
import type { Row, RowMaker } from "./row.ts";
import type { ReadOptions } from "./source.ts";

/** The rows of a Parquet file; their places are their numbers. One row group is in memory at a time. */
export async function* parquetRows(
  path: string,
  maker: RowMaker,
  { signal, onRead }: Pick<ReadOptions, "signal" | "onRead">,
): AsyncGenerator<Row> {
  const file = await openBuffer(path, signal);
  let rows = 0;
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      signal?.throwIfAborted();
      if (TunesmithError.isInstance(cause)) throw cause;
      const got = excerpt((cause as Error).message);
      const after = rows === 0 ? "" : ` after ${rows} rows`;
      throw new DataError(
        `[${path}] expected a whole Parquet file, got ${got}${after}; fetch or write the file again`,
        { cause },
      );
    }
  };
  try {
    const { metadata, columns } = await guarded(() => opened(file));
    for (const group of metadata.row_groups) {
      const count = Number(group.num_rows);
      await guarded(() => checkRowGroup(file, group, metadata, decoding.compressors));
      const values = groupRows(file, group, metadata, decoding);
      for (let value = await guarded(() => values.next()); !value.done; value = await guarded(() => values.next())) {
        rows += 1;
        yield* rowOf(value.value, rows, columns, maker);
        if (slices.isOver) await slices.turn();
      }
      onRead?.(Math.round((file.byteLength * count) / Math.max(1, Number(metadata.num_rows))));
    }
  } finally {
    await file.close();
  }
}

async function opened(file: AsyncBuffer): Promise<{ metadata: FileMetaData; columns: ReturnType<typeof columnsOf> }> {
  const metadata = await parquetMetadataAsync(file, { geoparquet: false });
  return { metadata, columns: columnsOf(metadata) };
}

function* rowOf(
  value: Record<string, unknown>,
  line: number,
  columns: ReturnType<typeof columnsOf>,
  maker: RowMaker,
): Generator<Row> {
  let fields: object;
  try {
    fields = columns(value);
  } catch (cause) {
    if (!(cause instanceof ValueError)) throw cause;
    maker.refuse(line, cause.message);
    return;
  }
  yield* maker.measured(fields, line);
}

/** How values are decoded: texts by us, so that what is not UTF-8 can be named, and never more bytes than a page's header says. */
const decoding: Decoding = {
  compressors: {
    ...compressors,
    GZIP: (input: Uint8Array, length: number) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
    BROTLI: (input: Uint8Array, length: number) =>
      brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
    ZSTD: (input: Uint8Array, length: number) => decompressZstd(input, new Uint8Array(length)),
  },
  parsers: {
    ...DEFAULT_PARSERS,
    stringFromBytes: (bytes: Uint8Array | undefined) => bytes && textOf(bytes),
    jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && jsonOf(bytes),
  },
};

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of bytes; the bytes themselves where they are no UTF-8, which the row says then. */
function textOf(bytes: Uint8Array): string | Uint8Array {
  try {
    return decoder.decode(bytes);
  } catch {
    return bytes;
  }
}

function jsonOf(bytes: Uint8Array): unknown {
  const text = textOf(bytes);
  try {
    return typeof text === "string" ? parseExact(text) : text;
  } catch {
    return text;
  }
}

/** A file of which pieces are read. */
async function openBuffer(
  path: string,
  signal: AbortSignal | undefined,
): Promise<AsyncBuffer & { close(): Promise<void> }> {
  const reject = (cause: unknown) =>
    new FileSystemError(`[${path}] expected a readable data file, got ${(cause as Error).message}; check the path`, {
      cause,
    });
  const handle = await open(path).catch((cause: unknown) => {
    throw reject(cause);
  });
  const { size } = await handle.stat();
  const slice = async (start: number, end = size): Promise<ArrayBuffer> => {
    signal?.throwIfAborted();
    if (!(start >= 0 && start <= end && end <= size)) throw new RangeError("a column outside the file");
    const bytes = new Uint8Array(end - start);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, start).catch((cause: unknown) => {
      throw reject(cause);
    });
    if (bytesRead < bytes.length) throw new RangeError("an early end of the file");
    return bytes.buffer;
  };
  return { byteLength: size, slice, close: () => handle.close() };
}
