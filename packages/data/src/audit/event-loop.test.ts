// An audit looks at all rows about twenty times, and lets the event loop turn between them.
import type { Similarity } from "@tunesmith/core";
import { expect, test } from "vitest";
import { turns } from "../../../core/src/testing/event-loop-turns.ts";
import { audit } from "./audit.ts";

const rows = Array.from({ length: 2100 }, (_, n) => ({
  messages: [
    { role: "user", content: `How much is ${n} and ${n % 7}?` },
    { role: "assistant", content: `That is ${n + (n % 7)}. It was not hard to find.` },
  ],
}));

/** Texts of each call. */
const counted: number[] = [];
const similarity: Similarity = {
  rougePool: () => {
    throw new Error("not asked for");
  },
  rougeL: async () => {
    throw new Error("not asked for");
  },
  countNgrams: async (texts) => {
    counted.push(texts.length);
    return texts.map(() => ({ total: 20, distinct: 20, most: 1, frequent: "" }));
  },
  distinctNgrams: async () => ({ total: 1000, distinct: 900 }),
  nearDuplicates: async (texts) => ({
    pairs: [],
    clusters: Int32Array.from(texts.keys()),
    complete: true,
  }),
};

test("the event loop turns between any two rows that a check looks at, and few texts are handed over at once", async () => {
  // Reading, and eighteen looks at all rows by those checks that need neither a model nor a set to evaluate with.
  expect(await turns(() => audit(rows, similarity))).toBeGreaterThanOrEqual(20 * rows.length);
  expect(counted).toEqual([2000, 100]);
}, 30_000);
