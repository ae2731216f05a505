import { resolve } from "node:path";
import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { FastLanguageModel } from "./fast-language-model.ts";
import { SFTTrainer } from "./sft-trainer.ts";
import { echoModel } from "./testing/echo-model.ts";

const model = new FastLanguageModel(echoModel());
const trainDataset = [{ text: "row" }];
const tinyModel = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");

/** The message of the `OptionError` that a call throws. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    expect(error).toMatchObject({ code: "OPTION_INVALID" });
    return (error as Error).message;
  }
  throw new Error("nothing was refused");
}

test("a wrong option is an error of the compiler, and of the program where nothing is compiled", () => {
  // @ts-expect-error learningrate is no option
  const misspelt = () => new SFTTrainer({ model, trainDataset, args: { learningrate: 1, maxSteps: 5 } });
  expect(refusal(misspelt)).toMatch(/got "learningrate"; did you mean "learningRate"\?$/u);
  // @ts-expect-error maxSteps is a number
  const mistyped = () => new SFTTrainer({ model, trainDataset, args: { maxSteps: "5" } });
  expect(refusal(mistyped)).toMatch(/^\[maxSteps\] expected a whole number of at least -1, got "5"/u);
  // @ts-expect-error maxLength is SFTConfig's
  const misplaced = () => new SFTTrainer({ model, trainDataset, peftConfig: { maxLength: 5 } });
  expect(refusal(misplaced)).toMatch(/^\[LoraConfig\] expected a known option, got "maxLength"/u);
  // @ts-expect-error rank is r
  expect(refusal(() => model.getPeftModel({ rank: 8 }))).toMatch(
    /^\[LoraConfig\] expected a known option, got "rank"/u,
  );
});

test("types hold camelCase; at run time the snake_case of an option is the same one, and both are an error", () => {
  // @ts-expect-error types hold camelCase
  const snake = new SFTTrainer({ model, trainDataset, args: { learning_rate: 1 }, peftConfig: { lora_alpha: 1 } });
  expect(snake).toBeInstanceOf(SFTTrainer);
  const peft = model.getPeftModel({ r: 4 });
  const twice = () => new SFTTrainer({ model: peft, trainDataset, peftConfig: { loraAlpha: 1 } });
  expect(refusal(twice)).toMatch(/^\[peftConfig\] expected adapter options once/u);
  const rates = { learningRate: 1, learning_rate: 1 };
  expect(refusal(() => new SFTTrainer({ model, trainDataset, args: rates }))).toMatch(/expected "learningRate" once/u);
});

test("an argument of a constructor has one name", () => {
  // @ts-expect-error train_dataset is no argument
  expect(refusal(() => new SFTTrainer({ model, train_dataset: trainDataset }))).toBe(
    '[SFTTrainer] expected a known option, got "train_dataset"; did you mean "trainDataset"?',
  );
});

test("a trainer refuses what it does not know, and asks for what it needs", () => {
  // @ts-expect-error evalDatset is no option
  expect(refusal(() => new SFTTrainer({ model, trainDataset, evalDatset: [] }))).toBe(
    '[SFTTrainer] expected a known option, got "evalDatset"; did you mean "evalDataset"?',
  );
  // @ts-expect-error batchSampler is no option
  expect(refusal(() => new SFTTrainer({ model, trainDataset, batchSampler: null }))).toBe(
    '[SFTTrainer] expected a known option, got "batchSampler"; its options are model, trainDataset, evalDataset, formattingFunc, sampler, lrScheduler, dataCollator, computeLossFunc, args, peftConfig, healthRules, metrics, callbacks',
  );
  // @ts-expect-error trainDataset is missing
  expect(refusal(() => new SFTTrainer({ model }))).toBe("[SFTTrainer] expected trainDataset, got nothing; give it");
  const args = { optim: "sgd", optimArgs: "momentun=0.9" } as const;
  expect(refusal(() => new SFTTrainer({ model, trainDataset, args }))).toMatch(
    /^\[optimArgs\] .*did you mean "momentum"\?$/u,
  );
  const trainer = new SFTTrainer({ model, trainDataset });
  // @ts-expect-error resume is no option
  expect(refusal(() => trainer.train({ resume: true }))).toMatch(/^\[train\] expected a known option, got "resume"/u);
});

test("fromPretrained and generate refuse what they do not know, and take snake_case", async () => {
  const open = (options: object) => FastLanguageModel.fromPretrained(tinyModel, options);
  await expect(open({ loadIn4Bit: true })).rejects.toThrow(/^\[fromPretrained\] .*did you mean "loadIn4bit"\?$/u);
  await expect(open({ load_in_8bit: true, foo: 1 })).rejects.toThrow(
    /\[fromPretrained\] .*"foo".*\[loadIn8bit\] .* not yet: eight bits are not implemented; loadIn4bit/u,
  );
  await expect(open({ adapter: 5, quantizedCache: "no" })).rejects.toThrow(/^\[adapter\] .*; \[quantizedCache\] /u);
  await expect(open({ device: "gpu" })).rejects.toThrow(/^\[device\] expected one of .*, got "gpu"/u);
  await expect(open({ cache_dir: "a", cacheDir: "b" })).rejects.toThrow(/expected "cacheDir" once/u);
  expect((await open({ bnb_4bit_blocksize: 128, local_files_only: true })).weightOptions).toMatchObject({
    bnb4bitBlocksize: 128,
  });
  const answer = async (options: object) => {
    let text = "";
    for await (const piece of model.generate("abcdef", options)) text += piece;
    return text;
  };
  expect(await answer({ max_new_tokens: 3 })).toBe("abc");
  await expect(answer({ maxTokens: 3 })).rejects.toThrow(
    /^\[generate\] expected a known option, got "maxTokens"; did you mean "maxNewTokens"\?$/u,
  );
  await expect(answer({ topP: 0 })).rejects.toThrow(/^\[topP\] expected a number above 0 and of at most 1, got 0/u);
});

test("generate refuses what is not a prompt, a role that there is not and one beyond the context", async () => {
  const answer = async (prompt: unknown, asked = model) => {
    let text = "";
    for await (const piece of asked.generate(prompt as string)) text += piece;
    return text;
  };
  const refused = (message: RegExp) =>
    expect.objectContaining({ code: "ARGUMENT_INVALID", message: expect.stringMatching(message) });
  for (const prompt of [undefined, null, 5, {}, []])
    await expect(answer(prompt)).rejects.toEqual(
      refused(/^\[generate\] expected a string or a list of messages, got /u),
    );
  await expect(answer([{ role: "usr", content: "hi" }])).rejects.toEqual(
    refused(/generate\[0\].*"usr"; did you mean "user"\?$/u),
  );
  await expect(answer([{ role: "human", content: "hi" }])).rejects.toEqual(refused(/did you mean "user"\?$/u));
  await expect(answer([{ role: "user" }])).rejects.toEqual(refused(/text in generate\[0\]\.content/u));
  await expect(answer("x".repeat(1024))).rejects.toEqual(refused(/context of 1024, got 1024; shorten it$/u));
  // Room for one token is left.
  expect(await answer("x".repeat(1023))).toBe("x");
});
