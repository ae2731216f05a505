import { DataError, FileSystemError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { rowsFile as file, readAll as read } from "../testing/read-rows.ts";

test("JSONL keeps unknown fields, and file and line of every row", async () => {
  const path = await file('\uFEFF{"text":"a","id":7}\r\n\r\n{"text":"b"}\n\n{"text":"é\u2028"}');
  expect(await read(path)).toEqual([
    { fields: { text: "a", id: 7 }, source: path, line: 1, size: 23 },
    { fields: { text: "b" }, source: path, line: 3, size: 12 },
    { fields: { text: "é\u2028" }, source: path, line: 5, size: 16 },
  ]);
});

test("a JSON array is told by its first character, over any number of lines", async () => {
  const path = await file('\n [\n {"text":\n"a"},\r\n {"text":"b"}]\n');
  expect((await read(path)).map(({ fields, line }) => [fields.text, line])).toEqual([
    ["a", 1],
    ["b", 2],
  ]);
});

test("arrays and async iterables are rows too", async () => {
  const rows = [{ text: "a" }, { text: "b" }];
  async function* later() {
    yield* rows;
  }
  expect(await read(rows)).toEqual(await read(later()));
  expect((await read(rows))[1]).toEqual({ fields: { text: "b" }, source: "memory", line: 2, size: 16 });
});

test("lines longer than a chunk are put together", async () => {
  const text = "ä".repeat(3_000_000);
  const path = await file(`${JSON.stringify({ text })}\n${JSON.stringify({ text: "end" })}\n`);
  expect((await read(path)).map(({ fields }) => (fields.text as string).length)).toEqual([3_000_000, 3]);
});

test("every bad line is named with an excerpt; a cut last line is told apart", async () => {
  const bytes = Buffer.concat([
    Buffer.from('{"text":"a"}\nnonsense\n{"text":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}\n[1]\n{"text":"b'),
  ]);
  const path = await file(bytes);
  const error = await read(path).catch((caught: unknown) => caught as DataError);
  expect(error).toBeInstanceOf(DataError);
  const { message } = error as DataError;
  expect(message).toContain("4 rows cannot be used");
  expect(message).toContain(`${path}:2: expected one JSON object per line, got "nonsense"`);
  expect(message).toContain(`${path}:3: expected UTF-8`);
  expect(message).toContain(`${path}:4: expected an object with the row's columns, got "[1]"`);
  expect(message).toMatch(/:5: .*may have been cut off/);
});

test("ten errors are shown, the rest is counted", async () => {
  const path = await file(`{"text":"a"}\n${"x\n".repeat(25)}`);
  await expect(read(path)).rejects.toThrow(/25 rows cannot be used[\s\S]*:11: [\s\S]*… and 15 more/);
  await expect(read(path)).rejects.toThrow(/:2: expected one JSON .*\n.*:3: the same as in line 2\n/u);
  await expect(read(path)).rejects.not.toThrow(/:12:/);
});

test("a file that is not there, and an array that does not parse, are one error each", async () => {
  await expect(read("/nowhere/rows.jsonl")).rejects.toThrow(FileSystemError);
  await expect(read(await file('[{"text":"a"},'))).rejects.toThrow(/expected a JSON array of rows/);
});

test("an array is read element by element, and what is wrong with it is named by position", async () => {
  const texts = async (content: string) => (await read(await file(content))).map(({ fields }) => fields.text);
  expect(await texts("[]")).toEqual([]);
  expect(await texts(' [ {"text":"],[{\\"\\\\"} , {"text":"b","c":[[1],{}]}\n]\n')).toEqual(['],[{"\\', "b"]);
  const bad: [string, RegExp][] = [
    ['[{"text":"a"},{"text":]}]', /:2: expected a JSON array of objects, got .*fix or remove the row/u],
    ['[{"text":"a"},', /:2: expected a JSON array of rows, got the end of the file inside it/u],
    ['[{"text":"a"}', /:1: expected a JSON array of rows, got the end of the file/u],
    ['[{"text":"a"},{"te', /:2: .*it may have been cut off/u],
    ['[{"text":"a"},]', /:2: .*got a comma without an element/u],
    ['[,{"text":"a"}]', /:1: .*got a comma without an element/u],
    ['[{"text":"a"}]\n[{"text":"b"}]', /:2: .*got "\[\{.*" after its end/u],
    ['[{"text":"a"}}', /:1: /u],
    ["[1.0]", /:1: expected an object with the row's columns, got "1.0"/u],
  ];
  for (const [content, message] of bad) await expect(texts(content)).rejects.toThrow(message);
});

test("a row beyond the limit is named with its size, and never put together", async () => {
  const long = JSON.stringify({ text: "x".repeat(3_000_000) });
  for (const content of [`{"text":"a"}\n${long}\n{"text":"b"}\n`, `[{"text":"a"},${long}]`])
    await expect(read(await file(content), 1 << 20)).rejects.toThrow(
      /rows.jsonl:2: expected a row of at most 1048576 bytes, got one of 3000011; .* maxRowBytes/u,
    );
  const rows = [{ text: "a" }, { text: "x".repeat(101) }];
  await expect(read(rows, 100)).rejects.toThrow(/memory:2: .* at most 100 bytes, got one of more than 100;/u);
  const cycle: Record<string, unknown> = { text: "a" };
  cycle.self = [cycle, 1n];
  expect(await read([cycle], 100)).toHaveLength(1);
});

test("a row that is nested too deep is named by its line", async () => {
  const deep = `{"text":"a","x":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
  await expect(read(await file(`{"text":"a"}\n${deep}`))).rejects.toThrow(
    /rows.jsonl:2: .*: arrays and objects are nested more than 100 levels deep; fix/u,
  );
});

test("a zero byte is the fault of its row alone", async () => {
  for (const place of [1, 2]) {
    const lines = ['{"text":"a"}', '{"text":"b"}', '{"text":"c"}'];
    lines[place] = '{"text":"\0"}';
    await expect(read(await file(lines.join("\n")))).rejects.toThrow(
      new RegExp(`^\\[data\\] .*rows.jsonl:${place + 1}: `, "u"),
    );
  }
  await expect(read(await file('{"text":"\0"}\n{"text":"b"}'))).rejects.toThrow(
    /rows.jsonl:1: expected one JSON object per line/u,
  );
});
