import { execFileSync } from "node:child_process";
import { mixDatasets, splitDataset } from "@tunesmith/data";
import { expect, test } from "vitest";
import { howToResume } from "./how-to-resume.ts";

test("the command for a run on files can be pasted, whatever its folder is called", () => {
  const inputs = { trainDataset: "rows.jsonl", evalDataset: null };
  expect(howToResume("runs/a-1", inputs)).toBe("tunesmith resume runs/a-1");
  if (process.platform === "win32") return;
  for (const path of ["/tmp/my run", "it's", "$HOME; ls", "a\nb", "*"]) {
    const words = howToResume(path, inputs).replace("tunesmith resume", "printf %s");
    expect(execFileSync("sh", ["-c", words], { encoding: "utf8" })).toBe(path);
  }
});

test("for rows that were given in memory it is a call, since no command can find them again", () => {
  const inMemory = [
    { trainDataset: [], evalDataset: null },
    { trainDataset: "rows.jsonl", evalDataset: [] },
  ];
  for (const inputs of inMemory) {
    const words = howToResume("runs/a", inputs);
    expect(words).toContain(
      'train({ resumeFromCheckpoint: true }) of a trainer with the same rows and outputDir "runs/a"',
    );
    expect(words).not.toContain("tunesmith resume");
  }
});

test("a function of a program is named: no command can give it", () => {
  const inputs = { trainDataset: "rows.jsonl", evalDataset: null, fromProgram: ["formattingFunc"] };
  expect(howToResume("runs/a", inputs)).toBe(
    'train({ resumeFromCheckpoint: true }) of a trainer with the same rows, formattingFunc and outputDir "runs/a"',
  );
});

test("a split is made again by its options, in a mix of files too", () => {
  const mix = mixDatasets([{ dataset: "a.jsonl" }, { dataset: "b.jsonl", weight: 2 }]);
  const { train, test: held } = splitDataset(mix, { testSize: 0.1 });
  expect(howToResume("runs/a", { trainDataset: train, evalDataset: held, splitFrom: mix })).toBe(
    "tunesmith resume runs/a",
  );
  expect(howToResume("runs/a", { trainDataset: train, evalDataset: held })).toContain("with the same rows");
});
