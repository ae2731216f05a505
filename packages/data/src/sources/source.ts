// What a data set may be given as.
import { fileURLToPath } from "node:url";
import { DataError, expandHome, terminalText } from "@tunesmith/core";
import type { Row } from "./row.ts";
import type { RowErrors } from "./row-errors.ts";

/** A row as a program gives it. */
export type RowObject = Readonly<Record<string, unknown>>;

/** A row, or a piece of a file: bytes or text of JSONL, JSON or CSV, also in gzip. */
export type StreamPart = RowObject | Uint8Array | string;

/** Rows of a program that come one after another. */
export type RowIterable = Iterable<RowObject> | AsyncIterable<StreamPart>;

/**
 * Where rows come from: the path of a file or folder (`~` is the home folder), a `file:` URL, a list of these, an array or iterable of
 * row objects, an async iterable or stream of rows, bytes or texts, a function that gives one of these each time it is called, files with a
 * name of their own, or a data set made of others.
 */
export type DatasetSource =
  | string
  | URL
  | readonly (string | URL)[]
  | readonly RowObject[]
  | RowIterable
  | (() => RowIterable)
  | NamedFiles
  | DerivedDataset;

/** Files that are one data set under a name of their own, such as those of the Hub. */
export class NamedFiles {
  /** @param origin what a configuration file names them by; null where it cannot */
  constructor(
    readonly name: string,
    readonly paths: readonly string[],
    readonly origin: DatasetEntry | null = null,
  ) {}
}

/** A data set as a configuration file names it. */
export interface DatasetEntry {
  /** A file or folder, or ORG/NAME of the Hub. */
  path: string;
  /** Its share of the rows of a mix, relative to the others. */
  weight?: number | undefined;
  /** Of a data set of the Hub: its configuration (subset). */
  name?: string | undefined;
  /** Of a data set of the Hub: its split. */
  split?: string | undefined;
  /** Of a data set of the Hub: branch, tag or commit. */
  revision?: string | undefined;
}

/** A data set that is made of others, such as a mix of them. */
export abstract class DerivedDataset {
  /** What it is called in messages. */
  abstract readonly name: string;
  /** How a configuration file names it; null where it cannot. */
  abstract readonly origin: readonly DatasetEntry[] | null;
  /** @internal Its rows, where `read` reads the data sets that it is made of. */
  abstract rows(read: RowReader, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row>;
}

/** How rows are read. */
export interface ReadOptions {
  /** How an in-memory source is called in errors, for example `trainDataset`. */
  name: string;
  /** Bytes that a row may have; a larger one is an error with its size. */
  maxRowBytes: number;
  /** Told of each file of a folder that is not read. Default: not told. */
  onIgnoredFile?: ((path: string) => void) | undefined;
  /** Told of each data set of a mix, by its place, that has rows left when the mix ends. Default: not told. */
  onPartLeft?: ((part: number) => void) | undefined;
  /** Told of bytes of files as they are read; of Parquet, when a row group has been. Default: not told. */
  onRead?: ((bytes: number) => void) | undefined;
  /** Stops in the middle of a file. */
  signal?: AbortSignal | undefined;
}

/** Reads a source row by row. */
export type RowReader = (source: DatasetSource, options: ReadOptions, errors: RowErrors) => AsyncGenerator<Row>;

/** Whether a value can be a data set; what it holds is seen when it is read. */
export function isDatasetSource(value: unknown): value is DatasetSource {
  if (typeof value === "string") return value !== "";
  if (typeof value === "function") return true;
  return typeof value === "object" && value !== null && (isNamed(value) || isIterable(value));
}

/** Paths of a source as they were given; null for one in memory. */
export function pathsOf(source: DatasetSource): readonly string[] | null {
  if (typeof source === "string" || source instanceof URL) return [pathOf(source)];
  if (source instanceof NamedFiles) return source.paths;
  if (!Array.isArray(source) || source.length === 0) return null;
  const arePaths = source.every((entry) => typeof entry === "string" || entry instanceof URL);
  return arePaths ? source.map((entry) => pathOf(entry as string | URL)) : null;
}

/** What a source is called in messages and reports. */
export function nameOf(source: DatasetSource, inMemory: string): string {
  if (source instanceof NamedFiles || source instanceof DerivedDataset) return source.name;
  const paths = pathsOf(source);
  return paths === null ? inMemory : paths.length === 1 ? (paths[0] ?? "") : `${paths[0]} and ${paths.length - 1} more`;
}

function isNamed(value: object): boolean {
  return value instanceof URL || value instanceof NamedFiles || value instanceof DerivedDataset;
}

/** Whether a value can be gone through, at once or as its values come. */
export function isIterable(value: object): value is RowIterable {
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

function pathOf(place: string | URL): string {
  if (typeof place === "string" && !/^(?:file|https?):\/\//iu.test(place)) return expandHome(place);
  const url = URL.canParse(String(place)) ? new URL(place) : null;
  try {
    if (url?.protocol === "file:") return fileURLToPath(url);
  } catch {
    // One that names another machine.
  }
  const got = url === null ? "something else" : terminalText(`${url.protocol}//${url.host}`);
  throw new DataError(
    `[data] expected a path or a file: URL, got ${got}; download the file and give its path, or open a data set of the Hub with loadDataset("ORG/NAME")`,
  );
}
