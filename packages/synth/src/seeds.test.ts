import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../core/src/testing/scratch.ts";
import { readSeeds } from "./seeds.ts";

async function file(text: string): Promise<string> {
  const path = join(await scratchFolder(onTestFinished), "seeds.jsonl");
  await writeFile(path, text);
  return path;
}

test("seeds come from a file or a program", async () => {
  const expected = {
    id: "seed-2",
    instruction: "Add.",
    isClassification: true,
    instances: [{ input: "", output: "2" }],
    mostSimilar: null,
  };
  const path = await file(
    '\n{"instruction": " Add. ", "instances": [{"input": "", "output": "2"}], "is_classification": true, "name": "x"}\n{"id": "b", "instruction": "Sing."}',
  );
  const [first, second] = await readSeeds(path);
  expect(first).toEqual(expected);
  expect(second).toMatchObject({ id: "b", isClassification: false, instances: [] });
  const [given] = await readSeeds([{ instruction: "Add.", instances: [{ output: "2" }], isClassification: true }]);
  expect(given).toEqual({ ...expected, id: "seed-1" });
});

test("what is wrong with a seed is named at its line", async () => {
  const wrong: [string, RegExp][] = [
    ["", /\[seeds\] expected at least one task/u],
    [
      '{"instruction": "A."}\n{"instruction"',
      /seeds.jsonl:2\] expected one JSON object per line, got "\{\\"instruction/u,
    ],
    ['{"instruction": " "}', /:1\] expected "instruction" to be a text that is not empty, got " "/u],
    ['{"instruction": "A.", "instances": {}}', /:1\] expected instances to be a list/u],
    ['{"instruction": "A.", "instances": [{"input": "x"}]}', /:1 instances\[0\]\] expected "output"/u],
    ['{"instruction": "A.", "instances": [{"input": 1, "output": "x"}]}', /expected "input" to be a text, got 1/u],
    ['{"instruction": "A.", "is_classification": "no"}', /expected is_classification to be true or false/u],
    ['{"instruction": "A.", "input": "", "output": "x"}', /:1\] expected input and output in instances/u],
    ['{"instruction": "A.", "output": "x", "instances": []}', /:1\] expected input and output in instances/u],
    ['{"instruction": "A.", "instance": []}', /:1\] expected a known key, got "instance"; did you mean "instances"\?/u],
    ['{"instruction": "A.", "isclassification": true}', /did you mean "isClassification"/u],
    [
      '{"instruction": "A.", "instances": [{"inptu": "x", "output": "y"}]}',
      /instances\[0\]\] .* did you mean "input"/u,
    ],
    ['{"id": [], "instruction": "A."}', /:1\] expected "id" to be a text, got \[\]/u],
    ['{"id": "1", "instruction": "A."}\n{"id": 1, "instruction": "B."}', /expected every id once, got "1" twice/u],
    ['["A."]', /:1\] expected a task as an object/u],
    ['{"id": "a", "instruction": "A."}\n{"id": "a", "instruction": "B."}', /expected every id once, got "a" twice/u],
  ];
  for (const [text, message] of wrong) await expect(readSeeds(await file(text))).rejects.toThrow(message);
  await expect(readSeeds(join(await scratchFolder(onTestFinished), "none.jsonl"))).rejects.toMatchObject({
    code: "IO",
  });
  await expect(readSeeds([{ instruction: 3 } as never])).rejects.toThrow(/\[seeds\[0\]\] expected "instruction"/u);
});

test("a file may begin with a byte order mark and end its lines as Windows does; other bytes than UTF-8 are refused", async () => {
  const marked = await file('\uFEFF{"instruction": "Añadir."}\r\n{"instruction": "Cantar."}\r\n');
  expect((await readSeeds(marked)).map(({ instruction }) => instruction)).toEqual(["Añadir.", "Cantar."]);
  const path = await file("");
  await writeFile(path, Buffer.from('{"instruction": "Añadir."}\n', "latin1"));
  await expect(readSeeds(path)).rejects.toThrow(/seeds.jsonl\] expected UTF-8, got other bytes/u);
});
