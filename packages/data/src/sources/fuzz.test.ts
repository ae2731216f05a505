import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError, parseExact, writeExact } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { aDay, cases, tried } from "../../../core/src/testing/trials.ts";
import { RowErrors } from "./row-errors.ts";
import { readRows } from "./rows.ts";

/** A seeded stream of whole numbers below a bound. */
function randomly(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Random = ReturnType<typeof randomly>;
const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;

const scalars = [
  "0",
  "-0",
  "1.0",
  "1e5",
  "-12.50",
  "1E+400",
  "9007199254740993",
  "98765432109876543210",
  "null",
  "true",
];
const strings = [
  '"a"',
  '"10"',
  '"2"',
  '"\\u0031"',
  '"__proto__"',
  '"\\ud83d\\ude00"',
  '"\\ud800"',
  '"\\\\\\""',
  '"{[,]}"',
  '"é日"',
  '""',
];

/** JSON as strangers write it: numbers of every spelling, keys that are digits or stand twice, any white space. */
function json(random: Random, depth: number): string {
  const space = pick(random, ["", "", " ", "\t"]);
  const several = (item: () => string) => Array.from({ length: random(4) }, item).join(`${space},`);
  const kind = depth === 0 ? random(2) : random(4);
  if (kind === 0) return pick(random, scalars);
  if (kind === 1) return pick(random, strings);
  if (kind === 2) return `[${space}${several(() => json(random, depth - 1))}${space}]`;
  return `{${space}${several(() => `${pick(random, strings)}${space}:${json(random, depth - 1)}`)}${space}}`;
}

/** What a file holds, by the shortest program that can say it: rows with their lines, and the lines that hold no row. */
function expected(bytes: Buffer): { rows: [number, unknown][]; bad: number[] } {
  const rows: [number, unknown][] = [];
  const bad: number[] = [];
  for (const [index, line] of bytes.toString("latin1").split("\n").entries()) {
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(line, "latin1"));
      if (text.trim() === "") continue;
      const value: unknown = JSON.parse(text);
      if (typeof value !== "object" || value === null || Array.isArray(value)) bad.push(index + 1);
      else rows.push([index + 1, value]);
    } catch {
      bad.push(index + 1);
    }
  }
  return { rows, bad };
}

/** What is read: rows as plain JSON values, and the lines with errors. Null where the whole file is refused. */
async function read(path: string): Promise<ReturnType<typeof expected> | null> {
  const rows: [number, unknown][] = [];
  const bad: number[] = [];
  const errors = new RowErrors();
  errors.add = (_, line) => bad.push(line);
  try {
    for await (const { fields, line } of readRows(path, { name: "", maxRowBytes: 1 << 20 }, errors))
      rows.push([line, JSON.parse(writeExact(fields))]);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return null;
  }
  return { rows, bad };
}

test(
  "any JSON is written as it was read, but for white space and keys that stand twice",
  () => {
    let seed = 0;
    for (seed of cases(1000)) {
      const text = json(randomly(seed), 5);
      const written = writeExact(parseExact(text));
      expect([seed, JSON.parse(written)]).toEqual([seed, JSON.parse(text)]);
      expect([seed, writeExact(parseExact(written))]).toEqual([seed, written]);
      // Without keys that stand twice every token stays, in its place.
      const tokens = (of: string) =>
        of.match(/"(?:[^"\\]|\\.)*"|[^\s"]/gu)?.map((token) => (token.startsWith('"') ? JSON.parse(token) : token));
      if (written.length === text.replaceAll(/[ \t]/gu, "").length)
        expect([seed, tokens(written)]).toEqual([seed, tokens(text)]);
    }
    tried(seed);
  },
  aDay,
);

test(
  "any lines give the rows and the errors that they hold",
  async () => {
    const path = join(await scratchFolder(onTestFinished), "rows.jsonl");
    let seed = 0;
    for (seed of cases(300)) {
      const random = randomly(seed);
      const parts: Buffer[] = [Buffer.from(pick(random, ["", "\uFEFF", "\n"])), Buffer.from('{"text":"a"}\n')];
      for (let n = random(8); n > 0; n -= 1) {
        const row = Buffer.from(`{"text":${json(random, 3)},"7":${json(random, 2)}}`);
        // A byte is changed, or the row is cut off, or it stays.
        const fault = random(4);
        if (fault === 0) row[random(row.length)] = random(256);
        parts.push(fault === 1 ? row.subarray(0, random(row.length)) : row);
        if (n > 1 || random(2) === 0) parts.push(Buffer.from(pick(random, ["\n", "\r\n", "\n\n", "\n \t\n"])));
      }
      const bytes = Buffer.concat(parts);
      await writeFile(path, bytes);
      const found = await read(path);
      expect([seed, found]).toEqual([seed, expected(bytes)]);
    }
    tried(seed);
  },
  aDay,
);

test(
  "an array gives the rows of the same lines, whatever stands between them",
  async () => {
    const path = join(await scratchFolder(onTestFinished), "rows.json");
    let seed = 0;
    for (seed of cases(100)) {
      const random = randomly(seed);
      const rows = Array.from({ length: random(6) }, () => `{"text":${json(random, 3)}}`);
      const space = () => pick(random, ["", " ", "\n", "\r\n\t"]);
      await writeFile(path, `${space()}[${space()}${rows.join(`${space()},${space()}`)}${space()}]${space()}`);
      const found = await read(path);
      expect([seed, found]).toEqual([seed, { rows: rows.map((row, n) => [n + 1, JSON.parse(row)]), bad: [] }]);
    }
    tried(seed);
  },
  aDay,
);

test(
  "any bytes give rows or a DataError",
  async () => {
    const path = join(await scratchFolder(onTestFinished), "rows");
    let seed = 0;
    const begin = ["", "[", "{", '{"text":"', "PK\x03\x04", "\x1f\x8b", "{'", "\ufeff"];
    for (seed of cases(100)) {
      const random = randomly(seed);
      const signs = pick(random, ['{}[],:"\\\n1.e ', null]);
      const bytes = Array.from({ length: random(200) }, () => signs?.charCodeAt(random(signs.length)) ?? random(256));
      await writeFile(path, Buffer.concat([Buffer.from(pick(random, begin), "latin1"), Buffer.from(bytes)]));
      await read(path);
    }
    tried(seed);
  },
  aDay,
);
