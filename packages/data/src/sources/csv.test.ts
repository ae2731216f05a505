import { expect, test } from "vitest";
import { fieldsOf, readAll, rowsFile } from "../testing/read-rows.ts";

const csv = (content: string | Uint8Array, name = "rows.csv") => rowsFile(content, name);

test("every value is a text, whatever stands in it, and its row begins at its line", async () => {
  const path = await csv(
    '\uFEFFprompt,completion,n\r\n"a, ""b""",c,1\r\n\r\n"two\r\nlines, é","x\ny",007\r\n,"",\r\nlast,"日",1e5',
  );
  const rows = await readAll(path);
  expect(rows.map(({ fields, line }) => [line, fields])).toEqual([
    [2, { prompt: 'a, "b"', completion: "c", n: "1" }],
    [4, { prompt: "two\r\nlines, é", completion: "x\ny", n: "007" }],
    [7, { prompt: "", completion: "", n: "" }],
    [8, { prompt: "last", completion: "日", n: "1e5" }],
  ]);
  expect(rows[0]).toMatchObject({ source: path, size: 14 });
});

test("tabs, semicolons and bars separate as commas do, and a table may have one column", async () => {
  expect(await fieldsOf(await csv("prompt\tcompletion\na, b\tc\n", "rows.tsv"))).toEqual([
    { prompt: "a, b", completion: "c" },
  ]);
  expect(await fieldsOf(await csv("prompt;completion\na, b;c\n", "rows"))).toEqual([
    { prompt: "a, b", completion: "c" },
  ]);
  expect(await fieldsOf(await csv('text\n"one, two"\n\nthree\n'))).toEqual([{ text: "one, two" }, { text: "three" }]);
});

test("names that mean something to JavaScript are columns like others", async () => {
  const [row] = await fieldsOf(await csv("__proto__,constructor,2,1\na,b,c,d\n"));
  expect(Object.entries(row ?? {})).toEqual([
    ["1", "d"],
    ["2", "c"],
    ["__proto__", "a"],
    ["constructor", "b"],
  ]);
  expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
});

test("ragged rows, other bytes and rows beyond the limit are named at their line, and the rest is read", async () => {
  const latin = Buffer.from('p,c\na\n"x\ny",b\na,b,c\n\xe9,b\nlong,xxxxxxxxxxxxxxxxxxxxx\n', "latin1");
  const path = await csv(latin);
  const error = await readAll(path, 20).catch((caught: unknown) => String(caught));
  expect(error).toContain("4 rows cannot be used");
  expect(error).toContain(
    `${path}:2: expected 2 values (p, c), got 1: "a"; put a value that holds "," or a line break into`,
  );
  expect(error).toContain(`${path}:5: expected 2 values (p, c), got 3: "a,b,c"`);
  expect(error).toContain(`${path}:6: expected UTF-8, got other bytes in "é,b"`);
  expect(error).toContain(`${path}:7: expected a row of at most 20 bytes, got one of 26`);
});

test("a fault in the quoting ends the reading, at the line where the row begins", async () => {
  const faults: [string, RegExp][] = [
    ['p,c\na,b\n"x\ny,b\nc,d\n', /rows.csv:3\] expected a closing double quote, got the end of the file/u],
    ['p,c\n"a"b,c\n', /rows.csv:2\] expected "," or the end of the line after a closing double quote/u],
    ['p,c\na "b",c\n', /rows.csv:2\] expected a double quote at the beginning of a value only/u],
    ["p,c,p\na,b,c\n", /rows.csv:1\] expected every column once in the first line, got "p" twice/u],
  ];
  for (const [content, message] of faults) await expect(readAll(await csv(content))).rejects.toThrow(message);
  await expect(readAll(await csv(Buffer.from("p,\xe9\na,b\n", "latin1")))).rejects.toThrow(/:1\].*UTF-8/u);
});
