import { expect, test } from "vitest";
import { TokenCounts } from "./token-counts.ts";

test("ranks are those of all examples, sorted", () => {
  const lengths = Array.from({ length: 1000 }, (_, n) => (n * 37) % 91);
  const counts = new TokenCounts();
  for (const length of lengths) counts.add(length);
  const sorted = lengths.toSorted((a, b) => a - b);
  expect(counts.statistics).toEqual({
    min: sorted[0],
    median: sorted[499],
    p95: sorted[949],
    max: sorted[999],
    total: lengths.reduce((sum, length) => sum + length, 0),
  });
  const three = new TokenCounts();
  for (const length of [9, 4, 6]) three.add(length);
  expect(three.statistics).toEqual({ min: 4, median: 6, p95: 9, max: 9, total: 19 });
  expect(new TokenCounts().statistics).toEqual({ min: 0, median: 0, p95: 0, max: 0, total: 0 });
});
