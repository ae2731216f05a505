import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { DataError } from "@tunesmith/core";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { aDay, cases, tried } from "../../../core/src/testing/trials.ts";
import { randomStream } from "./random.ts";
import { RowErrors } from "./row-errors.ts";
import { readRows } from "./rows.ts";
import type { DatasetSource } from "./source.ts";

type Random = (below: number) => number;

function randomly(seed: number): Random {
  const stream = randomStream(seed);
  return (below) => Math.floor(stream() * below);
}

/** Rows and errors of a source; what it throws must be a `DataError`. */
async function counted(source: DatasetSource): Promise<{ rows: number; errors: number; refused: boolean }> {
  const errors = new RowErrors("skip");
  let rows = 0;
  try {
    for await (const { fields } of readRows(source, { name: "rows", maxRowBytes: 1 << 12 }, errors)) {
      expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
      rows += 1;
    }
  } catch (error) {
    if (!DataError.isInstance(error)) throw error;
    expect(error.message).toMatch(/^\[.*\] (?:expected|\d+ rows) [^\0]*$/u);
    return { rows, errors: errors.count, refused: true };
  }
  return { rows, errors: errors.count, refused: false };
}

/** Bytes that mean something to one of the kinds, and any others. */
const signs = Buffer.from('"\\,;\t\n\r{}[]:0e-u\x00\xff\xef\xbb\xbf\xed\xa0\x80__proto__', "latin1");

/** Changes, adds, takes out, doubles or cuts off a few bytes. */
function mutated(bytes: Buffer, random: Random): Buffer {
  let result = Buffer.from(bytes);
  for (let changes = 1 + random(3); changes > 0; changes -= 1) {
    const at = random(result.length + 1);
    const sign = random(2) === 0 ? (signs[random(signs.length)] ?? 0) : random(256);
    const some = result.subarray(at, at + random(9));
    const parts: [Buffer, Buffer][] = [
      [Buffer.of(sign), result.subarray(at + 1)],
      [Buffer.of(sign), result.subarray(at)],
      [Buffer.alloc(0), result.subarray(at + some.length)],
      [Buffer.concat([some, some]), result.subarray(at + some.length)],
      [Buffer.alloc(0), Buffer.alloc(0)],
    ];
    const [middle, end] = parts[random(random(4) === 0 ? 5 : 4)] as [Buffer, Buffer];
    result = Buffer.concat([result.subarray(0, at), middle, end]);
  }
  return result;
}

const jsonRow = (n: number) =>
  `{"text":"row ${n}","messages":[{"role":"user","content":"é ${n}"}],"n":1e${n % 400},"${n}":[null,-0.0,{}]}`;
const csvRow = (n: number) => `row ${n},"a ""quoted"" é, ${n}",${n}`;

/** A fault in the quoting of CSV ends the reading, so that its files are short. */
const kinds: [name: string, begin: string, row: (n: number) => string, rowsOfFile: number, usualFiles: number][] = [
  ["JSONL", `${jsonRow(0)}\n`, jsonRow, 500, 90],
  ["CSV", "text,quoted,n\n", csvRow, 12, 500],
];

test.each(kinds)(
  "%s: any mutation of any row gives a row or an error of it, in gzip too",
  async (_, begin, row, rowsOfFile, usualFiles) => {
    let seen = 0;
    for (const seed of cases(usualFiles)) {
      const random = randomly(seed);
      const mutations = Array.from({ length: rowsOfFile }, (_, n) => [
        mutated(Buffer.from(row(n)), random),
        Buffer.from("\n"),
      ]);
      const bytes = Buffer.concat([Buffer.from(begin), ...mutations.flat()]);
      const packed = seed % 3 === 0 ? gzipSync(bytes, { level: 1 }) : bytes;
      const { rows, errors, refused } = await counted(Readable.from([packed]));
      seen += rows + errors + Number(refused);
    }
    tried(seen);
  },
  aDay,
);

test(
  "gzip: any mutation of its bytes gives rows or a DataError",
  async () => {
    const whole = gzipSync(Array.from({ length: 60 }, (_, n) => `${jsonRow(n)}\n`).join(""));
    let [seed, refusals] = [0, 0];
    for (seed of cases(800))
      refusals += Number((await counted(Readable.from([mutated(whole, randomly(seed))]))).refused);
    expect(refusals).toBeGreaterThan(seed / 2);
    tried(seed);
  },
  aDay,
);

type Codec = NonNullable<Parameters<typeof parquetWriteBuffer>[0]["codec"]>;

function parquetFile(codec: Codec): Buffer {
  const count = 40;
  const all = <T>(make: (n: number) => T) => Array.from({ length: count }, (_, n) => make(n));
  const columnData: Parameters<typeof parquetWriteBuffer>[0]["columnData"] = [
    { name: "text", data: all((n) => `row ${n} é`), type: "STRING" },
    { name: "kind", data: all((n) => (n % 3 === 0 ? null : `kind ${n % 4}`)), type: "STRING", nullable: true },
    { name: "id", data: all((n) => BigInt(n) ** 9n), type: "INT64" },
    { name: "rate", data: all((n) => n / 4), type: "DOUBLE" },
    { name: "data", data: all((n) => ({ n, list: [n, null] })), type: "JSON" },
  ];
  return Buffer.from(parquetWriteBuffer({ columnData, codec, rowGroupSize: 16 }));
}

test(
  "Parquet: any mutation of its bytes gives rows or a DataError",
  async () => {
    const path = join(await scratchFolder(onTestFinished), "rows.parquet");
    const files = (["UNCOMPRESSED", "SNAPPY"] as const).map(parquetFile);
    let [seed, refusals] = [0, 0];
    for (seed of cases(600)) {
      const random = randomly(seed);
      await writeFile(path, mutated(files[seed % files.length] as Buffer, random));
      refusals += Number((await counted(path)).refused);
    }
    expect(refusals).toBeGreaterThan(seed / 4);
    tried(seed);
  },
  aDay,
);
