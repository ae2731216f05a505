// A data set that was prepared before is taken as it was.
import { join } from "node:path";
import { isRefused, parseExact, replaceFile, type Tokenizer, writeExact } from "@tunesmith/core";
import type { ExampleColumns } from "../examples/columns.ts";
import type { BuiltExamples, IdSink } from "../prepare/built-examples.ts";
import type { DataReport } from "../quality/report.ts";
import type { DatasetSource, Row } from "../sources/rows.ts";
import { openCache, touch } from "./folder.ts";
import { type Cacheable, cacheKey } from "./key.ts";
import { readTokenFile, TokenFileWriter } from "./token-file.ts";

/** Where prepared data sets are kept. */
export interface CacheOptions {
  /** The folder; made where absent. */
  folder: string;
  /** Bytes of rows from which a data set is kept. */
  minBytes: number;
}

/** How a data set is prepared where no cache has it. */
export interface CachedBuild {
  tokenizer: Tokenizer;
  /** All that decides the examples besides rows and tokenizer; where they are kept, what stops it and who is told do not. */
  options: { cache?: CacheOptions | null; signal?: AbortSignal; onProgress?: unknown };
  /** Prepares it; ids go to the sink, where one is given, and are not held. */
  build(ids: IdSink | null): Promise<BuiltExamples>;
}

/**
 * Takes a data set from the cache, or prepares and keeps it. A file that is not whole is made again; a cache that cannot be written to is
 * done without.
 */
export async function throughCache(
  source: DatasetSource,
  { tokenizer, options: { cache = null, signal: _, onProgress: __, ...options }, build }: CachedBuild,
): Promise<BuiltExamples> {
  const request = { source, tokenizer, options: { ...options }, minBytes: cache?.minBytes ?? 0 };
  const cacheable = cache === null ? null : await cacheKey(request);
  if (cache === null || cacheable === null) return build(null);
  const path = join(cache.folder, `${cacheable.key}.safetensors`);
  const found = await read(path, tokenizer);
  if (found !== null) {
    await touch(path);
    return { ...found, report: { ...found.report, fromCache: true } };
  }
  try {
    await openCache(cache.folder);
    await write(path, cacheable, build);
  } catch (cause) {
    // Of the cache or of the rows: what is wrong with the rows shows again.
    if (!isRefused(cause) && cause !== changed) throw cause;
    return build(null);
  }
  return (await read(path, tokenizer)) ?? build(null);
}

/** Rows were written while they were read: what was made of them is not what the key says. */
const changed = new Error("[data] expected rows that stay as they are, got a file that changed while it was read");

async function write(path: string, { isCurrent }: Cacheable, build: CachedBuild["build"]): Promise<void> {
  await replaceFile(path, async (temporary) => {
    const file = await TokenFileWriter.create(temporary);
    try {
      const { columns, places, report, fingerprint, first } = await build(file);
      const { ids: _, ...others } = columns;
      const { sources, rowSources, lines } = places;
      const rows = first.map(({ fields, ...place }) => ({ ...place, fields: writeExact(fields) }));
      const beside: Beside = { sources, report, fingerprint, rows };
      await file.finish({ ...others, rowSources, lines }, beside);
    } finally {
      await file.close();
    }
    if (!(await isCurrent())) throw changed;
  });
}

/** What stands beside the arrays. */
interface Beside {
  sources: readonly string[];
  report: DataReport;
  fingerprint: string;
  /** The first rows; fields as JSON, whose numbers and order of keys survive. */
  rows: (Omit<Row, "fields"> & { fields: string })[];
}

async function read(path: string, tokenizer: Tokenizer): Promise<BuiltExamples | null> {
  // A file that cannot be read is as good as none.
  const file = await readTokenFile(path, (from) => tokenizer.mapFile(from)).catch(() => null);
  if (file === null) return null;
  const { rowSources, lines, ...columns } = file.arrays as unknown as ExampleColumns & Record<string, Int32Array>;
  const { sources, report, fingerprint, rows } = file.companion as Beside;
  const places = { sources, rowSources: rowSources as Int32Array, lines: lines as Int32Array };
  const first = rows.map(({ fields, ...place }) => ({ ...place, fields: parseExact(fields) as Row["fields"] }));
  return { columns, places, report, fingerprint, first };
}
