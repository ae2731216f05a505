import { expect, test } from "vitest";
import { encode } from "./encode.ts";

const rows = (instruction: string, input: string, output: string) =>
  Array.from({ length: 400 }, (_, place) => encode(instruction, { input, output }, 3, place));

test("all layouts are drawn, and the same ones for the same seed and place", () => {
  const [given, bare] = [rows(" Do it. ", "x", " y "), rows("Do it.", " ", "y")];
  expect(new Set(given.map(({ prompt }) => prompt)).size).toBe(7);
  expect(new Set(bare.map(({ prompt }) => prompt)).size).toBe(6);
  for (const { prompt, completion } of [...given, ...bare]) {
    expect(prompt).toContain("Do it.");
    expect(completion).toBe(/[:]$/u.test(prompt) ? " y" : "y");
  }
  expect(rows(" Do it. ", "x", " y ")).toEqual(given);
  expect(encode("Do it.", { input: "x", output: "y" }, 4, 0)).not.toEqual(
    encode("Do it.", { input: "x", output: "y" }, 5, 0),
  );
});

test("half of the time the name of an only field is left out, and half of the time blank lines are", () => {
  const named = rows("Do it.", "Sentence: It rains.", "y").filter(({ prompt }) => prompt.includes("Sentence:"));
  expect(named.length).toBeGreaterThan(150);
  expect(named.length).toBeLessThan(250);
  const spaced = rows("Do it.", "one\n\ntwo", "y").filter(({ prompt }) => prompt.includes("one\n\ntwo"));
  expect(spaced.length).toBeGreaterThan(150);
  expect(spaced.length).toBeLessThan(250);
  const two = rows("Do it.", "A: one\nB: two", "y");
  expect(two.every(({ prompt }) => prompt.includes("A: one\nB: two"))).toBe(true);
  expect(rows("Do it.", "At 12:30 he left.", "y").every(({ prompt }) => prompt.includes("At 12:30 he left."))).toBe(
    true,
  );
});
