// Values of a column in a row group of Parquet, decoded in parts of a page, between which the event loop may turn: a page has a size in
// bytes, and where values repeat, hundreds of thousands of them fit into it.
import { slices } from "@tunesmith/core";
import type {
  AsyncBuffer,
  ColumnMetaData,
  Compressors,
  DataReader,
  DecodedArray,
  PageHeader,
  ParquetParsers,
  SchemaTree,
} from "hyparquet";
import { assembleLists } from "hyparquet/src/assemble.js";
import { parquetHeader, readPage } from "hyparquet/src/column.js";
import { convert, convertWithDictionary } from "hyparquet/src/convert.js";
import { decompressPage, readDataPage, readDataPageV2 } from "hyparquet/src/datapage.js";
import { getMaxDefinitionLevel, getTreePath } from "hyparquet/src/schema.js";

/** Values that are decoded at once, up to the end of their row. */
const part = 4096;

/** How values are decoded. */
export interface Decoding {
  compressors: Compressors;
  parsers: ParquetParsers;
}

/** What the library decodes a column with. */
type Decoder = Parameters<typeof readPage>[2];

/** The values of a column whose pages were checked, one for each row (those of a list are one), in the pieces that they came in. */
export async function columnValues(
  file: AsyncBuffer,
  column: ColumnMetaData,
  tree: SchemaTree,
  { compressors, parsers }: Decoding,
): Promise<DecodedArray[]> {
  const { path_in_schema: pathInSchema, type, codec, total_compressed_size: size } = column;
  const schemaPath = getTreePath(tree, pathInSchema);
  const element = (schemaPath.at(-1) ?? tree).element;
  const decoder: Decoder = { pathInSchema, type, element, schemaPath, codec, parsers, compressors, utf8: false };
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const reader = { view: new DataView(await file.slice(start, start + Number(size))), offset: 0 };
  const pieces: DecodedArray[] = [];
  let dictionary: DecodedArray | undefined;
  for (let found = 0; found < column.num_values; ) {
    const header = parquetHeader(reader);
    if (header.type === "DICTIONARY_PAGE") {
      const { data } = readPage(reader, header, decoder, undefined, undefined, 0);
      dictionary = data && convert(data, decoder);
    } else {
      found += (header.data_page_header ?? header.data_page_header_v2)?.num_values ?? 0;
      await readInParts(reader, header, { decoder, dictionary }, pieces);
    }
    if (slices.isOver) await slices.turn();
  }
  return pieces;
}

/** Adds the values of a page. A row may have begun in the page before: its list is in the last piece, and grows there. */
async function readInParts(
  reader: DataReader,
  header: PageHeader,
  { decoder, dictionary }: { decoder: Decoder; dictionary: DecodedArray | undefined },
  pieces: DecodedArray[],
): Promise<void> {
  const { num_values: count = 0, encoding = "PLAIN" } = header.data_page_header ?? header.data_page_header_v2 ?? {};
  const { definitionLevels: levels = [], repetitionLevels: repeated, dataPage } = pageOf(reader, header, decoder);
  const highest = getMaxDefinitionLevel(decoder.schemaPath);
  let used = 0;
  for (let from = 0, to = 0; from < count; from = to) {
    to = Math.min(count, from + part);
    while (repeated.length > 0 && to < count && repeated[to] !== 0) to += 1;
    const own = levels.slice(from, to);
    const present = levels.length === 0 ? to - from : own.filter((level) => level === highest).length;
    const values = convertWithDictionary(dataPage.slice(used, used + present), dictionary, encoding, decoder);
    used += present;
    const last = pieces.at(-1);
    const grown = Array.isArray(last) ? last : [];
    const piece = assembleLists(grown, own, repeated.slice(from, to), values, decoder.schemaPath);
    if (piece !== last) pieces.push(piece);
    if (slices.isOver) await slices.turn();
  }
}

/** The levels and values of the page that the reader stands at. */
function pageOf(reader: DataReader, header: PageHeader, decoder: Decoder): ReturnType<typeof readDataPage> {
  const { compressed_page_size: packed, uncompressed_page_size: size, data_page_header: first } = header;
  const page = new Uint8Array(reader.view.buffer, reader.view.byteOffset + reader.offset, packed);
  reader.offset += packed;
  if (first === undefined) return readDataPageV2(page, header, decoder);
  return readDataPage(decompressPage(page, size, decoder.codec, decoder.compressors), first, decoder);
}
