// Runs of equal values in a page of Parquet, against how many values it has: a decoder writes out whatever a run promises.
import type { ColumnMetaData, PageHeader, SchemaTree } from "hyparquet";
import { decompressPage } from "hyparquet/src/datapage.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from "hyparquet/src/schema.js";

/** Values that a run may promise too much. */
const slack = 1 << 16;

/** What a page is unpacked with. */
export type Compressors = Parameters<typeof decompressPage>[3];

/**
 * Checks the runs of levels and of indices into the dictionary in a data page.
 *
 * @param page as it is in the file
 * @param schemaPath of its column, from the root
 */
export function checkRuns(
  page: Uint8Array,
  { uncompressed_page_size: size, data_page_header: first, data_page_header_v2: second }: PageHeader,
  { codec }: ColumnMetaData,
  schemaPath: SchemaTree[],
  compressors: Compressors,
): void {
  const levels = [getMaxRepetitionLevel(schemaPath), getMaxDefinitionLevel(schemaPath)];
  const widths = levels.map((level) => 32 - Math.clz32(level));
  if (first !== undefined) {
    const bytes = decompressPage(page, size, codec, compressors);
    let at = 0;
    for (const width of widths.filter((bits) => bits > 0)) {
      const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true);
      check(bytes.subarray(at + 4, at + 4 + length), width, first.num_values);
      at += 4 + length;
    }
    if (isIndexed(first.encoding)) check(bytes.subarray(at + 1), bytes[at] ?? 0, first.num_values);
  } else if (second !== undefined) {
    const lengths = [second.repetition_levels_byte_length, second.definition_levels_byte_length] as const;
    check(page.subarray(0, lengths[0]), widths[0] ?? 0, second.num_values);
    check(page.subarray(lengths[0], lengths[0] + lengths[1]), widths[1] ?? 0, second.num_values);
    if (!isIndexed(second.encoding)) return;
    const rest = page.subarray(lengths[0] + lengths[1]);
    const unpacked = size - lengths[0] - lengths[1];
    const bytes = second.is_compressed === false ? rest : decompressPage(rest, unpacked, codec, compressors);
    check(bytes.subarray(1), bytes[0] ?? 0, second.num_values);
  }
}

function isIndexed(encoding: string): boolean {
  return encoding.endsWith("_DICTIONARY");
}

/** Whether runs hold about as many values as there are: an even header is a run of one value, an odd one of groups of eight. */
function check(bytes: Uint8Array, width: number, count: number): void {
  let left = count;
  for (let at = 0; left > 0 && at < bytes.length; ) {
    let header = 0;
    let more = true;
    for (let factor = 1; more && at < bytes.length; factor *= 128, at += 1) {
      const byte = bytes[at] ?? 0;
      header += (byte & 0x7f) * factor;
      more = byte >= 0x80;
    }
    const groups = Math.floor(header / 2);
    const values = header % 2 === 0 ? groups : 8 * groups;
    if (values > left + slack) throw new RangeError(`a run of ${values} values in a page of ${count}`);
    at += header % 2 === 0 ? Math.ceil(width / 8) : groups * width;
    left -= values;
  }
}
