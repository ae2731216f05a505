import { OptionError } from "@tunesmith/core";
import { expect, test, vi } from "vitest";
import { fakeModel } from "../testing/fake-session.ts";
import { trainer } from "../testing/sft-trainer.ts";
import { withPreset } from "./preset.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 60_000 });

test("a run has the values of its preset, but for those that are given, and a resumed one stays what it was", async () => {
  const { trainer: made, outputDir } = await trainer(
    { preset: "unslothNotebook", learning_rate: 1e-3, maxSteps: 2, num_train_epochs: undefined },
    {},
    { peftConfig: { r: 4 } },
  );
  const { args, peftConfig } = await made.dryRun();
  expect(args).toMatchObject({ weightDecay: 0.001, optim: "adamw_8bit", learningRate: 1e-3, maxSteps: 2 });
  expect(peftConfig).toMatchObject({ r: 4, loraAlpha: 16, targetModules: expect.arrayContaining(["up_proj"]) });
  const { globalStep } = await made.train();
  expect(globalStep).toBe(2);
  const { trainer: again } = await trainer(
    { preset: "unslothNotebook", learningRate: 1e-3, maxSteps: 4, outputDir },
    {},
    { peftConfig: { r: 4 } },
  );
  expect((await again.train({ resumeFromCheckpoint: true })).globalStep).toBe(4);
});

test("how the model is opened is told where the preset has it otherwise", async () => {
  const { trainer: made } = await trainer({ preset: "qlora8b", maxSteps: 1 });
  const { warnings } = await made.dryRun();
  expect(warnings).toContain(
    "preset qlora8b has loadIn4bit true, and the model is opened with false; give loadIn4bit to fromPretrained to have the preset whole",
  );
  expect(withPreset({ preset: "trlSft" }, {}, fakeModel()).warnings).toEqual([]);
  expect(withPreset({ maxSteps: 1 }, { r: 2 }, null)).toEqual({
    args: { maxSteps: 1 },
    peftConfig: { r: 2 },
    warnings: [],
  });
});

test("a name that is no preset is a wrong option", async () => {
  await expect(trainer({ preset: "trlsft" })).rejects.toThrow(/\[preset\] .* did you mean "trlSft"\?/u);
  await expect(trainer({ preset: 3 })).rejects.toThrow(OptionError);
});

test("instructGptSft leaves out rows with long prompts and long answers", async () => {
  const rows = [
    { prompt: "a".repeat(20), completion: "b" },
    { prompt: "a".repeat(400), completion: "b" },
    { prompt: "a", completion: "b".repeat(400) },
    { text: "c".repeat(400) },
  ];
  const { trainer: made } = await trainer({ preset: "instructGptSft" }, {}, { trainDataset: rows.slice(0, 3) });
  const { data, args } = await made.dryRun();
  // The context of the model is 512 tokens: half of it for each.
  expect(args).toMatchObject({ maxLength: 512, maxPromptLength: 256, maxCompletionLength: 256 });
  expect(data.dropped.map(({ line, reason }) => [line, reason])).toEqual([
    [2, "a prompt of 400 tokens, more than maxPromptLength 256"],
    [3, expect.stringMatching(/^an answer of 40\d tokens, more than maxCompletionLength 256$/u)],
  ]);
  const { trainer: texts } = await trainer({ preset: "instructGptSft" }, {}, { trainDataset: rows.slice(3) });
  expect((await texts.dryRun()).data).toMatchObject({ kept: 1 });
});
