import { expect, test } from "vitest";
import { runProgram } from "./program.ts";

/** The help of a command on a terminal of so many columns. */
async function help(argv: string[], columns: number): Promise<string> {
  let text = "";
  const out = {
    isTTY: true,
    columns,
    write: (more: string) => {
      text += more;
    },
  };
  const surroundings = { streams: { out, err: out }, input: process.stdin, finish: () => {} };
  await runProgram([...argv, "--help"], surroundings).catch(() => {});
  return text;
}

const commands = [
  ["train"],
  ["dpo"],
  ["estimate"],
  ["resume"],
  ["chat"],
  ["merge"],
  ["export", "gguf"],
  ["doctor"],
  [],
];

test.each([60, 80, 120])("help fits a terminal of %i columns and breaks no word", async (columns) => {
  for (const argv of commands) {
    const [shown, wide] = [await help(argv, columns), await help(argv, 10_000)];
    const examples = shown.indexOf("Examples:");
    const lines = shown.slice(0, examples === -1 ? undefined : examples).split("\n");
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    const words = (text: string) =>
      text
        .replaceAll(/(?<=\|)\s+/gu, "")
        .split(/\s+/u)
        .sort();
    expect(words(shown)).toEqual(words(wide));
  }
});

test("help has groups and examples that are command lines", async () => {
  const text = await help(["train"], 80);
  expect(text).toMatch(/^Run options:$/mu);
  expect(text).toMatch(/^ {2}--r <number> +Rank of the adapter\. Default 16 \(Unsloth\)\.$/mu);
  for (const argv of commands.filter(([name]) => name !== undefined && name !== "doctor"))
    expect(await help(argv, 80)).toMatch(new RegExp(`^Examples:\\n {2}tunesmith ${argv.join(" ")} `, "mu"));
});
