import { resolve } from "node:path";
import { AbortError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { FastLanguageModel, type GeneratedAnswer } from "./index.ts";
import { echoModel } from "./testing/echo-model.ts";

const tinyModel = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");

const plain = (answers: GeneratedAnswer[][]) =>
  answers.flat().map(({ tokenIds, logProbs, ...rest }) => ({ ...rest, ids: [...tokenIds], logProbs }));

test("answers come in the order of the prompts, cut at a stop, and are told of", async () => {
  const model = new FastLanguageModel(echoModel());
  const told: GeneratedAnswer[] = [];
  const prompts = ["one two", [{ role: "user", content: "three" }], "a\nb"];
  const options = {
    stopStrings: ["\n", "wo"],
    maxNewTokens: 7,
    onAnswer: (answer: GeneratedAnswer) => told.push(answer),
  };
  const answers = await model.generateBatch(prompts, options);
  expect(answers.flat().map(({ prompt, sample, text, finishReason }) => [prompt, sample, text, finishReason])).toEqual([
    [0, 0, "one t", "stop"],
    [1, 0, "three", "stop"],
    [2, 0, "a", "stop"],
  ]);
  expect(told.sort((a, b) => a.prompt - b.prompt)).toEqual(answers.flat());
  expect(await model.generateBatch([])).toEqual([]);
});

test("a real model answers alike for any number at a time, each sample on its own", async () => {
  await using model = await FastLanguageModel.fromPretrained(tinyModel);
  const prompts = ["The river", "A", "Once upon a time there was"];
  const options = { numReturnSequences: 3, temperature: 1, maxNewTokens: 12, seed: 3, logProbs: true };
  const all = await model.generateBatch(prompts, options);
  expect(plain(await model.generateBatch(prompts, { ...options, maxNumSeqs: 2 }))).toEqual(plain(all));
  const letter = all[1]?.[1]?.text.at(-1) as string;
  const stopped = await model.generateBatch(prompts, { ...options, stopStrings: [letter] });
  for (const [n, answer] of stopped.flat().entries()) {
    const whole = all.flat()[n] as GeneratedAnswer;
    const [before, ...after] = whole.text.split(letter);
    expect(answer.text).toBe(before);
    expect(answer.finishReason).toBe(after.length > 0 ? "stop" : whole.finishReason);
    expect(answer.logProbs).toEqual(whole.logProbs?.slice(0, answer.tokenIds.length));
  }
  expect(new Set(all.flat().map(({ text }) => text)).size).toBe(9);
});

test("an answer ends where the context does, whatever room others have", async () => {
  await using model = await FastLanguageModel.fromPretrained(tinyModel);
  const context = model.info.maxPositionEmbeddings;
  const [long] = await model.tokenizer.encodeTexts(["river ".repeat(context)]);
  const text = model.tokenizer.decode((long as Int32Array).slice(0, context - 20));
  const answers = await model.generateBatch([text, "A"], { maxNewTokens: 40, stopTokenIds: [] });
  const lengths = answers.flat().map(({ tokenIds, finishReason }) => [tokenIds.length, finishReason]);
  expect(lengths[1]).toEqual([40, "length"]);
  expect(lengths[0]?.[0]).toBeLessThan(40);
  expect(lengths[0]?.[1]).toBe("length");
});

test("what is no prompt, no list and no option is refused before a weight is read, and a signal stops", async () => {
  const watched = { generators: [], sessions: [], disposed: 0 };
  const model = new FastLanguageModel(echoModel(watched));
  await expect(model.generateBatch("one" as never)).rejects.toThrow("[generateBatch] expected a list");
  await expect(model.generateBatch(["one", 7 as never])).rejects.toThrow("[generate] expected");
  await expect(model.generateBatch(["one"], { samples: 2 } as never)).rejects.toThrow("samples");
  await expect(model.generateBatch(["one"], { numReturnSequences: 0 })).rejects.toThrow("numReturnSequences");
  expect(watched.generators).toEqual([]);
  await using real = await FastLanguageModel.fromPretrained(tinyModel);
  const stopping = real.generateBatch(["one"], { signal: AbortSignal.abort() });
  await expect(stopping).rejects.toBeInstanceOf(AbortError);
});
