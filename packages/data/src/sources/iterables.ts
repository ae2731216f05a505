// Rows of a program that come one after another: which of them can be read another time.
import { DataError } from "@tunesmith/core";
import { type DatasetSource, isIterable, type RowIterable, type StreamPart } from "./source.ts";

/** What gives its rows once and has begun to. */
const begun = new WeakSet<object>();

/** What a program gave as a data set, as something that can be gone through. */
export function rowsOf(source: DatasetSource, name: string): RowIterable {
  const given: unknown = typeof source === "function" ? source() : source;
  if (typeof given === "object" && given !== null && isIterable(given)) return given;
  throw new DataError(
    `[${name}] expected a function that gives an iterable or async iterable of rows, got one that gives ${given === null ? "null" : typeof given}; return the rows, or make it a generator function`,
  );
}

/** Begins to read. Of what gives its rows only once, a second reading is a `DataError`. */
export function begin(source: RowIterable, name: string): Iterator<StreamPart> | AsyncIterator<StreamPart> {
  const parts = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  if ((parts as unknown) !== source && !isNodeOrWebStream(source)) return parts;
  if (begun.has(source))
    throw new DataError(
      `[${name}] expected rows that can be read again, got a generator or stream that has been read before and gives its rows only once; give the function that makes it, an array, or files`,
    );
  begun.add(source);
  return parts;
}

/** They make an iterator each time they are asked, of what is left. */
function isNodeOrWebStream(source: object): boolean {
  return "getReader" in source || "pipe" in source;
}
