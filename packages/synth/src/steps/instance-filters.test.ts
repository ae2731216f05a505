import type { SelfInstructFilter } from "@tunesmith/core";
import { expect, test } from "vitest";
import { Filters } from "../filters.ts";
import type { TaskInstance } from "../seeds.ts";
import { filteredInstances, inputFirst, outputFirst } from "./instance-filters.ts";

const pair = (input: string, output: string): TaskInstance => ({ input, output });
const many = (count: number) => Array.from({ length: count }, (_, n) => pair(`in ${n}`, `out ${n}`));

/** Per filter the instances of a task, and which of them it drops. */
const table: [filter: SelfInstructFilter, found: TaskInstance[], dropped: number[], isCut?: boolean][] = [
  ["cut-example", [pair("a", "b"), pair("c", "d")], [1], true],
  ["same-as-input", [pair("a", "a"), pair("c", "b")], [0]],
  ["empty-output", [pair("a", ""), pair("", "b")], [0]],
  ["ends-with-colon", [pair("a:", "b"), pair("c", "d:"), pair("e: f", "g: h")], [0, 1]],
  ["conflicting-outputs", [pair("a", "b"), pair("c", "d"), pair("a", "e")], [0, 1, 2]],
  ["duplicate-instance", [pair("a", "b"), pair("a", "b"), pair("", "c"), pair("", "c"), pair("", "d")], [1, 3]],
  ["instances-per-task", many(7), [0, 6]],
];

test.each(table)("%s drops what it should; switched off it drops nothing", (filter, found, gone, isCut = false) => {
  const run = (filters: Filters) =>
    filteredInstances(found, { isCut, limit: 5, filters, choose: () => [1, 2, 3, 4, 5] });
  const on = new Filters({ withoutFilters: [] });
  const { kept, dropped } = run(on);
  expect(dropped).toEqual(gone.map((n) => ({ filter, instance: found[n] })));
  expect(kept).toEqual(found.filter((_, n) => !gone.includes(n)));
  expect(on.report("instances").filter((entry) => entry.dropped > 0)).toMatchObject([
    { name: filter, dropped: gone.length },
  ]);
  expect(run(new Filters({ withoutFilters: [filter] })).kept).toEqual(found);
});

test("each instance counts for the first filter that drops it", () => {
  const filters = new Filters({ withoutFilters: [] });
  filteredInstances([pair("", ""), pair(":", ":")], { isCut: false, limit: 5, filters, choose: () => [] });
  const counts = filters.report("instances").map(({ name, dropped }) => [name, dropped]);
  expect(Object.fromEntries(counts)).toMatchObject({ "same-as-input": 2, "empty-output": 0, "ends-with-colon": 0 });
});

test("replies with inputs first", () => {
  const read = (text: string) => inputFirst({ text, isCut: false });
  expect(read("\nList: 3, 1\nOutput: 1, 3\nExample 2\nList: 9\nOutput 2: 9\n\nExample 3.\nOutput: none")).toEqual([
    pair("List: 3, 1", "1, 3"),
    pair("List: 9", "9"),
    pair("", "none"),
  ]);
  expect(read("Example 1\nInput: a\nOutput: b\nInput: c\nOutput: d")).toEqual([pair("a", "b")]);
  expect(read("Examples of it abound.")).toEqual([pair("", "Examples of it abound.")]);
  expect(read(" \n")).toEqual([]);
});

test("replies with labels first", () => {
  const read = (text: string) => outputFirst({ text, isCut: false });
  expect(read(" good\nReview: fine\nand more\nClass label: bad\nClass label: so-so\nReview: well")).toEqual([
    pair("Review: fine\nand more", "good"),
    pair("", "bad"),
    pair("Review: well", "so-so"),
  ]);
  expect(read("Class label: good\nfine")).toEqual([pair("fine", "good")]);
  expect(read("")).toEqual([]);
});
