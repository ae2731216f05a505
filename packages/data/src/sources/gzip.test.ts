import { gzipSync } from "node:zlib";
import { DataError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { fieldsOf, readAll, rowsFile } from "../testing/read-rows.ts";

const gz = (content: string | Uint8Array, name = "rows.jsonl.gz") => rowsFile(content, name);
const rows = Array.from({ length: 5000 }, (_, n) => ({ text: `row ${n} ${Math.sin(n)}` }));
const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join("");

test("JSONL, JSON and CSV are read in gzip as they are without, also in several members", async () => {
  expect(await fieldsOf(await gz(gzipSync(lines)))).toEqual(rows);
  expect(await fieldsOf(await gz(gzipSync(JSON.stringify(rows)), "rows.json"))).toEqual(rows);
  expect(await fieldsOf(await gz(gzipSync("text\na\n"), "rows.csv.gz"))).toEqual([{ text: "a" }]);
  const members = Buffer.concat([gzipSync('{"text":'), gzipSync('"a"}\n{"text":"b"}\n'), Buffer.alloc(512)]);
  expect(await fieldsOf(await gz(members))).toEqual([{ text: "a" }, { text: "b" }]);
  expect((await readAll(await gz(gzipSync('\n{"text":"a"}'))))[0]).toMatchObject({ line: 2, size: 12 });
});

test("a damaged, cut or continued file is one error with the rows before it", async () => {
  const whole = gzipSync(lines);
  const damaged = Buffer.from(whole);
  damaged.fill(0xff, 40_000, 40_100);
  const faults: [Buffer, RegExp][] = [
    [
      whole.subarray(0, whole.length / 2),
      /rows.jsonl.gz\] expected a whole gzip.*got unexpected end of file after \d{4} rows/u,
    ],
    [damaged, /got (?:invalid|incorrect) .* after \d+ rows; fetch or write the file again/u],
    [
      Buffer.concat([whole, Buffer.from('{"text":"lost"}\n')]),
      /got (?:other bytes after its end|incorrect header check) after \d+ rows/u,
    ],
    [gzipSync(gzipSync(lines)), /a gzip-compressed file inside another/u],
    [gzipSync("PAR1...."), /a Parquet file in gzip/u],
    [gzipSync(`rows.jsonl${"\0".repeat(247)}ustar`), /a tar archive; unpack it first/u],
  ];
  for (const [content, message] of faults) {
    const reading = readAll(await gz(content));
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(DataError);
  }
});

test("a small file that unpacks to a large row is never in memory as a whole", async () => {
  const bomb = gzipSync(`{"text":"a"}\n{"text":"${"x".repeat(100_000_000)}"}\n{"text":"b"}\n`);
  expect(bomb.length).toBeLessThan(200_000);
  const path = await gz(bomb);
  const before = process.memoryUsage().rss;
  await expect(readAll(path, 1 << 20)).rejects.toThrow(
    /:2: expected a row of at most 1048576 bytes, got one of 100000011/u,
  );
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20);
});
