import { DataError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { layoutOf } from "./file-kind.ts";

const latin = (text: string) => Buffer.from(text, "latin1");

const others: [string, Buffer | string, RegExp][] = [
  ["Zstandard", latin("\x28\xb5\x2f\xfd..."), /Zstandard/u],
  ["Arrow", latin("ARROW1\0\0"), /an Arrow file/u],
  ["an Arrow stream", latin("\xff\xff\xff\xff\x10\0\0\0"), /Arrow stream/u],
  ["ZIP", latin("PK\x03\x04\x14\0rows.jsonl"), /ZIP archive.*unpack/u],
  ["Excel", latin("PK\x03\x04\x14\0[Content_Types].xml...xl/workbook.xml"), /Excel.*read_excel/u],
  ["old Excel", latin("\xd0\xcf\x11\xe0\xa1\xb1"), /Excel/u],
  ["tar", latin(`rows.jsonl${"\0".repeat(247)}ustar`), /tar archive/u],
  ["SQLite", latin("SQLite format 3\0"), /SQLite/u],
  ["PDF", "%PDF-1.7\n", /PDF/u],
  ["UTF-16", Buffer.from('\uFEFF{"text":"a"}\n', "utf16le"), /UTF-16; save the file as UTF-8/u],
  ["UTF-16, big end first", Buffer.from('\uFEFF{"text":"a"}', "utf16le").swap16(), /UTF-16/u],
  ["UTF-16 without a mark", Buffer.from('{"text":"a"}\n', "utf16le"), /UTF-16/u],
  ["UTF-32", latin('\xff\xfe\0\0{\0\0\0"\0\0\0'), /UTF-32/u],
  ["other bytes", latin("\x01\x02\0\x03"), /binary/u],
  ["HTML", "\n<!DOCTYPE html>\n<html>", /\[rows:2\].*HTML/u],
  ["Python", "{'text': 'a', 'n': None}\n{'text': 'b'}\n", /\[rows:1\].*Python.*json.dumps/u],
  ["a Python list", "[{'text': 'a'}]", /Python/u],
  ["indented objects", '{\n  "text": "a"\n}\n{\n  "text": "b"\n}\n', /many lines.*jq -c/u],
  ["half indented objects", '{"messages": [\n{"role": "user"}]}\n', /many lines/u],
  ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", /git lfs pull/u],
  ["YAML", "- text: a\n- text: b\n", /not JSON: "- text: a"/u],
  ["plain text", "Hello, this is text.\nMore of it.\n", /not JSON/u],
];

test.each(others)("%s is told in one sentence", (_, head, message) => {
  const layout = () => layoutOf(Buffer.from(head), "rows");
  expect(layout).toThrow(DataError);
  expect(layout).toThrow(message);
  expect(layout).toThrow(/^[^\n\0]*$/u);
});

test("a table is told by its first lines, or by its name", () => {
  const tables: [string | Buffer, string, string][] = [
    ['prompt,completion\n"A tree, please: ",oak\n', "rows", ","],
    ['"prompt","the answer"\r\n"a","b"\r\n', "rows", ","],
    [latin("prompt,gr\xf6\xdfe\na,b\n"), "rows", ","],
    ["prompt\tcompletion\na\tb\n", "rows", "\t"],
    ["prompt;completion\na;b\n", "rows", ";"],
    ["prompt|completion\na|b\n", "rows", "|"],
    ["text\nhello\n", "a/rows.CSV", ","],
    ["What is it?;Why, then?\na;b\n", "a/rows.csv.gz", ";"],
    ["text, all of it\nhello\n", "rows.tsv", "\t"],
  ];
  for (const [text, path, separator] of tables) expect(layoutOf(Buffer.from(text), path)).toEqual({ separator });
  expect(layoutOf(Buffer.from('{"text":"a"}'), "rows.csv")).toBe("lines");
});

test("gzip and Parquet are told by their first bytes", () => {
  expect(layoutOf(latin("\x1f\x8b\x08"), "rows.jsonl")).toBe("gzip");
  expect(layoutOf(latin("PAR1\x15\x04"), "rows.jsonl")).toBe("parquet");
});

test("JSONL and arrays are told apart, whatever they hold", () => {
  for (const text of [
    "",
    "\n\n",
    '{"text":"\'a, b\'"}',
    '{"te',
    '{"a":[1,\n{"text":"b"}\n',
    '\uFEFF\n {"a":"\\u0000"}',
  ])
    expect(layoutOf(Buffer.from(text), "rows")).toBe("lines");
  for (const text of ["[]", '\n [\n {"text":"a"}', '[\n  {"a": 1}\n]'])
    expect(layoutOf(Buffer.from(text), "rows.jsonl")).toBe("array");
});
