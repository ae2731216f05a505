// Tells files of rows from files of other kinds by how they begin, and says of these what they are and what to do.
import { DataError } from "@tunesmith/core";
import { excerpt } from "./excerpt.ts";
import { isGzip } from "./gzip.ts";
import type { JsonLayout } from "./json.ts";

/** How a file of rows is written: JSON, gzip around any of the others but Parquet, Parquet, or a table by what separates its values. */
export type Layout = JsonLayout | "gzip" | "parquet" | { separator: string };

/** A kind of file that holds no rows as they are read here. */
interface Kind {
  is: string;
  advice: string;
}

const unpack = "unpack it first";
const look = "give a file of rows";

function table(reader: string): string {
  return `convert it to JSONL, for example with pandas: ${reader}(…).to_json(…, orient="records", lines=True)`;
}

/** Files that say by their first bytes what they are; ISO 8859-1, with the place of the bytes where it is not the first. */
const signatures: readonly { bytes: string; at?: number; kind: Kind }[] = [
  { bytes: "\x28\xb5\x2f\xfd", kind: { is: "a Zstandard-compressed file", advice: `${unpack}: zstd -d FILE` } },
  { bytes: "BZh", kind: { is: "a bzip2-compressed file", advice: `${unpack}: bunzip2 FILE` } },
  { bytes: "\xfd7zXZ\0", kind: { is: "an xz-compressed file", advice: `${unpack}: unxz FILE` } },
  { bytes: "\x04\x22\x4d\x18", kind: { is: "an LZ4-compressed file", advice: `${unpack}: lz4 -d FILE` } },
  { bytes: "7z\xbc\xaf\x27\x1c", kind: { is: "a 7-Zip archive", advice: unpack } },
  { bytes: "Rar!", kind: { is: "a RAR archive", advice: unpack } },
  { bytes: "ustar", at: 257, kind: { is: "a tar archive", advice: unpack } },
  { bytes: "ARROW1", kind: { is: "an Arrow file", advice: table("read_feather") } },
  {
    bytes: "\xff\xff\xff\xff",
    kind: {
      is: "an Arrow stream",
      advice: "convert it to JSONL, for example with datasets: Dataset.from_file(…).to_json(…)",
    },
  },
  { bytes: "Obj\x01", kind: { is: "an Avro file", advice: "convert it to JSONL" } },
  { bytes: "ORC", kind: { is: "an ORC file", advice: table("read_orc") } },
  { bytes: "SQLite format 3\0", kind: { is: "an SQLite database", advice: table("read_sql") } },
  { bytes: "\x89HDF", kind: { is: "an HDF5 file", advice: table("read_hdf") } },
  { bytes: "\x93NUMPY", kind: { is: "a NumPy array", advice: look } },
  { bytes: "\xd0\xcf\x11\xe0", kind: { is: "an Excel or Office file", advice: table("read_excel") } },
  { bytes: "%PDF", kind: { is: "a PDF document", advice: look } },
  { bytes: "{\\rtf", kind: { is: "an RTF document", advice: look } },
  { bytes: "GGUF", kind: { is: "a GGUF model", advice: look } },
  { bytes: "\x7fELF", kind: { is: "a program", advice: look } },
  {
    bytes: "version https://git-lfs.github.com/spec/",
    kind: { is: "a Git LFS pointer in place of the file", advice: "fetch the file itself: git lfs pull" },
  },
];

/** Encodings by their byte order marks, the longer ones first. */
const encodings = [
  ["\xff\xfe\0\0", "UTF-32"],
  ["\0\0\xfe\xff", "UTF-32"],
  ["\xff\xfe", "UTF-16"],
  ["\xfe\xff", "UTF-16"],
] as const;

/** Bytes that are looked at. */
const looked = 1 << 16;

/**
 * How the rows of a file are laid out, told by how it begins; its name decides only whether a text is a table. A file of another kind
 * throws one `DataError` that says what it is and what to do.
 *
 * @param head first bytes of the file, some thousands where it has as many
 */
export function layoutOf(head: Buffer, path: string): Layout {
  if (isGzip(head)) return "gzip";
  if (isParquet(head)) return "parquet";
  const binary = binaryKind(head);
  if (binary !== null) throw refusal(path, binary);
  const lines = textOf(head.subarray(0, looked)).split("\n");
  const place = lines.findIndex((line) => line.trim() !== "");
  if (place === -1) return "lines";
  const [first = "", ...rest] = lines.slice(place).map((line) => line.trim());
  const separator = separatorOf(first, rest, path);
  if (separator !== null) return { separator };
  const kind = textKind(first, rest);
  if (kind !== null) throw refusal(`${path}:${place + 1}`, kind);
  return first.startsWith("[") ? "array" : "lines";
}

/**
 * The text of bytes that may end inside a character; bytes that are not UTF-8 one by one, so that they can be shown. Without a byte
 * order mark: one bad byte further on makes no other file of it.
 */
function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return bytes.toString("latin1").replace(/^\xef\xbb\xbf/u, "");
  }
}

/** Whether bytes begin as Parquet does. */
function isParquet(head: Buffer): boolean {
  return head.subarray(0, 4).toString("latin1") === "PAR1";
}

function refusal(place: string, { is, advice }: Kind): DataError {
  return new DataError(`[${place}] expected rows as JSONL, one JSON array, CSV or Parquet, got ${is}; ${advice}`);
}

function binaryKind(head: Buffer): Kind | null {
  const bytes = head.subarray(0, looked).toString("latin1");
  if (bytes.startsWith("PK\x03\x04")) return zipKind(bytes);
  for (const { bytes: signature, at = 0, kind } of signatures) if (bytes.startsWith(signature, at)) return kind;
  const encoding = encodings.find(([mark]) => bytes.startsWith(mark))?.[1];
  // Latin text in UTF-16 has a zero in every second byte.
  const unmarked = /^(?:[\t\n\r -~]\0|\0[\t\n\r -~]){2}/u.test(bytes) ? "UTF-16" : undefined;
  const found = encoding ?? unmarked;
  if (found !== undefined) return { is: `text in ${found}`, advice: "save the file as UTF-8" };
  // A zero byte in a row is the fault of that row; other files have them from their beginning.
  const [first = ""] = bytes.replace(/^(?:\xef\xbb\xbf)?\s+/u, "").split("\n", 1);
  return first.includes("\0") && !/^[{[]/u.test(first) ? { is: "a binary file", advice: look } : null;
}

function zipKind(bytes: string): Kind {
  if (bytes.includes("xl/")) return { is: "an Excel workbook", advice: table("read_excel") };
  if (bytes.includes("word/")) return { is: "a Word document", advice: look };
  return { is: "a ZIP archive", advice: unpack };
}

/** What a text is that holds no rows, or null. Line by line it would be hundreds of errors that do not say it. */
function textKind(first: string, rest: readonly string[]): Kind | null {
  if (/^[{[]\s*(?:\{\s*)?'/u.test(first))
    return {
      is: `Python's own notation: ${excerpt(first)}`,
      advice: "write the rows with json.dumps in place of str or repr",
    };
  if (first.startsWith("[")) return null;
  if (first.startsWith("{")) return isPretty(first, rest) ? pretty : null;
  if (first.startsWith("<")) return { is: `HTML or XML: ${excerpt(first)}`, advice: look };
  return {
    is: `text that is not JSON: ${excerpt(first)}`,
    advice: 'write each row as an object, such as {"text": "…"}',
  };
}

const pretty: Kind = {
  is: "an object that goes over many lines (indented, pretty-printed JSON)",
  advice: "write each row on one line, for example with jq -c . FILE",
};

/** Whether the first line ends inside an object or array, but not inside a string, and the object goes on in the next line. */
function isPretty(first: string, [second = ""]: readonly string[]): boolean {
  const outside = first.replaceAll(/"(?:[^"\\]|\\.)*"/gu, "");
  const count = (signs: RegExp) => outside.match(signs)?.length ?? 0;
  const open = !outside.includes('"') && count(/[[{]/gu) > count(/[\]}]/gu);
  // A row that was cut off is followed by the next row.
  return open && second !== "" && (/[[{]$/u.test(first) || !second.startsWith("{"));
}

const separators = [",", "\t", ";", "|"];

/** What separates the values of a table, whose first line names the columns; null where a text is none. */
function separatorOf(header: string, rest: readonly string[], path: string): string | null {
  if (/^[{[<]/u.test(header)) return null;
  const named = /\.([ct]sv|tab)(?:\.gz)?$/iu.exec(path)?.[1]?.toLowerCase();
  // Its name says so also of a table of one column, or with names of any form.
  if (named !== undefined) return named === "csv" ? commonest(header, rest[0]) : "\t";
  const found = separators.find((sign) => {
    const names = header.split(sign);
    const plain = names.every((name) => /^\s*["']?[\p{L}_][\p{L}\p{N}_ .-]{0,60}["']?\s*$/u.test(name));
    // A quoted value may hold line breaks, so that not every line has all columns.
    return names.length > 1 && plain && rest.every((line, n) => n > 0 || line === "" || line.includes(sign));
  });
  return found ?? null;
}

/** The separator that stands most often in the first line, rather one that the second line has as often; the comma where none does. */
function commonest(header: string, second = ""): string {
  const count = (line: string, sign: string) => line.replaceAll(/"(?:[^"]|"")*"/gu, "").split(sign).length - 1;
  const agreeing = separators.filter((sign) => count(header, sign) > 0 && count(header, sign) === count(second, sign));
  const [first = ","] = [...(agreeing.length > 0 ? agreeing : separators)].sort(
    (a, b) => count(header, b) - count(header, a),
  );
  return first;
}
