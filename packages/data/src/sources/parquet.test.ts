import { ExactNumber, writeExact } from "@tunesmith/core";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { fieldsOf, readAll, rowsFile } from "../testing/read-rows.ts";

type Options = Parameters<typeof parquetWriteBuffer>[0];

const parquet = (options: Options, name = "rows.parquet") =>
  rowsFile(new Uint8Array(parquetWriteBuffer(options)), name);

test("numbers are read digit for digit, texts, lists and structs as JSON has them", async () => {
  const path = await parquet({
    columnData: [
      { name: "text", data: ["a", "é日", ""], type: "STRING" },
      { name: "whole", data: [1, -2, 3], type: "INT32" },
      { name: "id", data: [1n, 9007199254740993n, -9223372036854775808n], type: "INT64" },
      { name: "rate", data: [7, 0.5, -0], type: "DOUBLE" },
      { name: "ok", data: [true, false, null], type: "BOOLEAN", nullable: true },
      { name: "data", data: [{ b: [1, 2], a: null }, [], null], type: "JSON", nullable: true },
    ],
  });
  expect((await fieldsOf(path)).map(writeExact)).toEqual([
    '{"text":"a","whole":1,"id":1,"rate":7.0,"ok":true,"data":{"b":[1,2],"a":null}}',
    '{"text":"é日","whole":-2,"id":9007199254740993,"rate":0.5,"ok":false,"data":[]}',
    '{"text":"","whole":3,"id":-9223372036854775808,"rate":-0.0,"ok":null,"data":null}',
  ]);
  expect((await fieldsOf(path))[1]?.id).toEqual(new ExactNumber("9007199254740993"));
});

test("rows of many groups are numbered through, and a row beyond the limit is named by its number", async () => {
  const data = Array.from({ length: 2500 }, (_, n) => (n === 2345 ? "x".repeat(5000) : `row ${n}`));
  const path = await parquet({ columnData: [{ name: "text", data, type: "STRING" }], rowGroupSize: 1000 });
  const rows = await readAll(path);
  expect(rows.map(({ line, fields }) => [line, fields.text])).toEqual(data.map((text, n) => [n + 1, text]));
  await expect(readAll(path, 1000)).rejects.toThrow(/rows.parquet:2346: expected a row of at most 1000 bytes/u);
});

/** Conversations, some without turns and some missing, with texts that repeat and texts that do not. */
const conversations = Array.from({ length: 9000 }, (_, n) =>
  n % 97 === 0
    ? null
    : Array.from({ length: n % 5 }, (__, turn) => ({
        role: turn % 2 === 0 ? "user" : "assistant",
        content: turn === 3 ? null : `turn ${turn} of ${n}`,
        parts: turn === 1 ? [] : [n, null],
      })),
);

const schema: Options["schema"] = [
  { name: "root", num_children: 2 },
  { name: "messages", repetition_type: "OPTIONAL", converted_type: "LIST", num_children: 1 },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", repetition_type: "OPTIONAL", num_children: 3 },
  { name: "role", type: "BYTE_ARRAY", repetition_type: "REQUIRED", converted_type: "UTF8" },
  { name: "content", type: "BYTE_ARRAY", repetition_type: "OPTIONAL", converted_type: "UTF8" },
  { name: "parts", repetition_type: "OPTIONAL", converted_type: "LIST", num_children: 1 },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", type: "INT32", repetition_type: "OPTIONAL" },
  { name: "n", type: "INT32", repetition_type: "REQUIRED" },
];

test.each([1 << 20, 2000, 100])(
  "lists of structs are the rows they were written from, in pages of %i bytes",
  async (pageSize) => {
    const columnData = [
      { name: "messages", data: conversations },
      { name: "n", data: conversations.map((_, n) => n) },
    ];
    const path = await parquet({ schema, columnData, pageSize, rowGroupSize: conversations.length });
    expect(await fieldsOf(path)).toEqual(conversations.map((messages, n) => ({ messages, n })));
  },
);

test("a cut or damaged file is one error, with the rows before it", async () => {
  const data = Array.from({ length: 3000 }, (_, n) => `row ${n} ${Math.sin(n)}`);
  const whole = new Uint8Array(
    parquetWriteBuffer({ columnData: [{ name: "text", data, type: "STRING" }], rowGroupSize: 1000 }),
  );
  const damaged = whole.slice();
  damaged.fill(0xff, whole.length / 2, whole.length / 2 + 400);
  await expect(readAll(await rowsFile(whole.subarray(0, -1)))).rejects.toThrow(
    /rows.jsonl\] expected a whole Parquet file, got "/u,
  );
  await expect(readAll(await rowsFile(damaged))).rejects.toThrow(/after 1000 rows; fetch or write the file again/u);
  await expect(readAll(await rowsFile("PAR1"))).rejects.toThrow(/expected a whole Parquet file/u);
});

test("a run that promises more values than its page has is refused before it is written out", async () => {
  const data = Array.from({ length: 100_000 }, () => "a");
  const columnData = [{ name: "text", data, type: "STRING" as const, nullable: true }];
  const bytes = Buffer.from(parquetWriteBuffer({ columnData, codec: "UNCOMPRESSED", rowGroupSize: data.length }));
  // 200000 as a varint: 100,000 times the level 1.
  const at = bytes.indexOf(Buffer.of(0xc0, 0x9a, 0x0c, 0x01));
  expect(at).toBeGreaterThan(0);
  bytes.set([0xfe, 0xff, 0x7f], at);
  await expect(readAll(await rowsFile(bytes))).rejects.toThrow(/got "a run of 1048575 values in a page of 100000"/u);
});
