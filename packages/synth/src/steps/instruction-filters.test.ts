import { type SelfInstructFilter, selfInstructConfigSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { Filters } from "../filters.ts";
import { blockedWords, candidatesOf, droppedAlone } from "./instruction-filters.ts";

const { blocklist } = selfInstructConfigSchema.parse({});
const words = (count: number) => `${"word ".repeat(count - 1)}word`;

/** Per filter what it drops, and what is next to it and stays. */
const table: [filter: SelfInstructFilter, dropped: string[], kept: string[]][] = [
  ["too-short", ["Sing", "Sing it now", words(3)], ["Sing it right now", words(4)]],
  ["too-long", [words(151), words(400)], [words(150)]],
  [
    "blocklist",
    [
      "Describe the image below to me.",
      "Draw what you see here.",
      "Which FILES are too big?",
      "Please go to the shop.",
    ],
    ["Describe the imagery of the poem.", "Withdraw the complaint in one sentence.", "Let go, to begin with, of it."],
  ],
  [
    "write-a-program",
    ["Write a program that adds numbers.", "WRITE A PROGRAM for me please."],
    ["Write a programme for a concert.", "Please write a program that adds numbers."],
  ],
  [
    "leading-punctuation",
    ["(Optional) say what you like.", "- Say what you like.", "~ Say what you like."],
    ["Say (all) you like."],
  ],
  [
    "leading-non-ascii",
    ["Übersetze diesen Satz ins Englische.", "¿Qué hora es ahora mismo?"],
    ["Explain what über means."],
  ],
];

test.each(table)(
  "%s drops what it should, and nothing next to it; switched off it drops nothing",
  (filter, dropped, kept) => {
    const [on, off] = [new Filters({ withoutFilters: [] }), new Filters({ withoutFilters: [filter] })];
    const blocked = blockedWords(blocklist);
    expect(dropped.map((text) => droppedAlone(text, on, blocked))).toEqual(dropped.map(() => filter));
    expect(dropped.map((text) => droppedAlone(text, off, blocked))).toEqual(dropped.map(() => null));
    const others = kept.map((text) => droppedAlone(text, on, blocked)).filter((name) => name !== null);
    // A programme is written with the same letters as a program.
    expect(others).toEqual(filter === "write-a-program" ? ["write-a-program"] : []);
    const reported = (filters: Filters) => filters.report("instructions").find(({ name }) => name === filter);
    expect(reported(on)).toMatchObject({ enabled: true, dropped: dropped.length + others.length });
    expect(reported(off)).toMatchObject({ enabled: false, dropped: 0 });
  },
);

test("phrases of a blocklist of one's own mean what they say", () => {
  const filters = new Filters({ withoutFilters: [] });
  const blocked = blockedWords(["C++", "a.b"]);
  expect(droppedAlone("Explain templates in C++ to me.", filters, blocked)).toBe("blocklist");
  expect(droppedAlone("Explain what axb means to me.", filters, blocked)).toBeNull();
  expect(blockedWords([])).toBeNull();
});

test("a numbered list becomes candidates, each in one line with a capital", () => {
  const list = (text: string) => candidatesOf({ text, isCut: false });
  expect(list(" name a fish.\n10. Name\n  two birds.\n11)  name three trees.\n12. ")).toEqual([
    "Name a fish.",
    "Name two birds.",
    "Name three trees.",
  ]);
  // A model that answers repeats the number that it was given.
  expect(list("9. Name a fish.\n10 . Name a bird.")).toEqual(["Name a fish.", "Name a bird."]);
  expect(list("Add 2. 5 and 3.14 to it.")).toEqual(["Add 2. 5 and 3.14 to it."]);
  expect(list(" \n ")).toEqual([]);
});
