// What the headers of a row group's pages promise, against what can be: nothing is decoded that would take all memory, or no end.
import { slices } from "@tunesmith/core";
import type {
  AsyncBuffer,
  ColumnMetaData,
  DataReader,
  FileMetaData,
  PageHeader,
  RowGroup,
  SchemaTree,
} from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { getSchemaPath } from "hyparquet/src/schema.js";
import { type Compressors, checkRuns } from "./parquet-runs.ts";

/** Values of a column, and bytes of a column, that a row group may have: a hundred times what writers put into one. */
const most = { values: 2 ** 27, bytes: 2 ** 31 };

/** Checks a row group before it is decoded: every page lies in its column, and the pages hold as many values as the column says. */
export async function checkRowGroup(
  file: AsyncBuffer,
  { num_rows: rows, columns }: RowGroup,
  { schema }: FileMetaData,
  compressors: Compressors,
): Promise<void> {
  if (!(rows >= 0n && rows <= BigInt(most.values)))
    throw new RangeError(`a row group of ${rows} rows; write it with fewer, such as 10000`);
  // One element of the schema is the root; the others are columns where they have a type.
  if (columns.length !== schema.filter(({ type }) => type !== undefined).length)
    throw new RangeError("a row group without all columns of the schema");
  for (const { meta_data: column, crypto_metadata: encrypted, file_path: elsewhere } of columns) {
    if (encrypted !== undefined) throw new RangeError("an encrypted column");
    if (elsewhere !== undefined) throw new RangeError("a column that is in another file");
    if (column === undefined) throw new RangeError("a column without metadata");
    await checkColumn(file, column, rows, { path: getSchemaPath(schema, column.path_in_schema), compressors });
  }
}

/** What the pages of a column are read with. */
interface Decoding {
  /** From the root of the schema to the column. */
  path: SchemaTree[];
  compressors: Compressors;
}

async function checkColumn(file: AsyncBuffer, column: ColumnMetaData, rows: bigint, decoding: Decoding): Promise<void> {
  const { num_values: values, total_compressed_size: size, path_in_schema: path } = column;
  const name = path.join(".");
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  if (!(values <= BigInt(most.values)) || (rows > 0n && values < rows && path.length === 1))
    throw new RangeError(`${values} values of the column ${name} in a row group of ${rows} rows`);
  if (rows === 0n) return;
  const view = new DataView(await file.slice(start, start + Number(size)));
  const reader = { view, offset: 0 };
  let found = 0;
  let bytes = 0;
  while (found < values) {
    const header = headerOf(reader, name);
    const page = new Uint8Array(view.buffer, view.byteOffset + reader.offset, header.compressed_page_size);
    checkRuns(page, header, column, decoding.path, decoding.compressors);
    reader.offset += header.compressed_page_size;
    bytes += header.uncompressed_page_size;
    found += header.data_page_header?.num_values ?? header.data_page_header_v2?.num_values ?? 0;
    if (bytes > most.bytes)
      throw new RangeError(`more than 2 GiB of the column ${name} in a row group; write smaller ones`);
    if (slices.isOver) await slices.turn();
  }
  if (found !== Number(values)) throw new RangeError(`more values of the column ${name} than it says`);
}

/** The next header, with sizes that can be. */
function headerOf(reader: DataReader, name: string): PageHeader {
  if (reader.offset >= reader.view.byteLength) throw new RangeError(`fewer values of the column ${name} than it says`);
  const header = parquetHeader(reader);
  const { type, compressed_page_size: packed, uncompressed_page_size: unpacked } = header;
  const { data_page_header: first, data_page_header_v2: second, dictionary_page_header: dictionary } = header;
  const counts = [packed, unpacked, (first ?? second ?? dictionary)?.num_values];
  if (second !== undefined)
    counts.push(
      second.num_nulls,
      second.num_rows,
      second.definition_levels_byte_length,
      second.repetition_levels_byte_length,
    );
  const isPage = type === "DATA_PAGE" || type === "DATA_PAGE_V2" || type === "DICTIONARY_PAGE";
  const possible = counts.every((count) => Number.isInteger(count) && (count as number) >= 0);
  if (!isPage || !possible || reader.offset + packed > reader.view.byteLength)
    throw new RangeError(`a damaged page of the column ${name}`);
  // A value of a dictionary takes a bit at least.
  if (dictionary !== undefined && dictionary.num_values > 8 * unpacked)
    throw new RangeError(`a damaged page of the column ${name}`);
  return header;
}
