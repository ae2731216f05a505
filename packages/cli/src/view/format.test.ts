import { expect, test } from "vitest";
import { bytes, count, duration, percent, significant } from "./format.ts";

test("writes figures for people", () => {
  expect([0, 72, 4000, 86_400].map(duration)).toEqual(["0:00", "1:12", "1:06:40", "24:00:00"]);
  expect([999, 1500, 134_515_008, 2e9].map(count)).toEqual(["999", "1.5 k", "134.5 M", "2 G"]);
  expect([100, 2048, 3 * 2 ** 30].map(bytes)).toEqual(["100 B", "2.0 KiB", "3.0 GiB"]);
  expect([12.3456, 0.000012345, 0, Number.NaN].map((value) => significant(value))).toEqual([
    "12.35",
    "1.23e-5",
    "0",
    "NaN",
  ]);
  expect(percent(0.1234)).toBe("12.3 %");
});
