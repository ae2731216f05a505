import type { GenerateOptions, TokenEvent } from "@tunesmith/core";
import { expect, test } from "vitest";
import { codes, endOfTurn, letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { eventsOf } from "../testing/run.ts";
import type { GenerateTextOptions } from "./generate.ts";
import { modelGenerator, type TextModel } from "./model-generator.ts";

/** A model of which each prompt goes on as told, letter by letter in turn; it counts the tokens that were taken of it. */
function scripted(replies: readonly string[], context = 400, end = endOfTurn) {
  const seen: { requests: GenerateOptions[]; tokens: number; closed: number } = { requests: [], tokens: 0, closed: 0 };
  const model: TextModel = {
    info: { path: "models/scripted", origin: null, maxPositionEmbeddings: context },
    tokenizer: letterTokenizer,
    createGenerator: async () => ({
      async *generate(request: GenerateOptions): AsyncGenerator<TokenEvent> {
        seen.requests.push(request);
        const { maxNewTokens = 0 } = request;
        const texts = request.prompts.map((_, n) => codes(replies[n] ?? ""));
        for (let at = 0; at < maxNewTokens; at += 1)
          for (const [index, text] of texts.entries()) {
            if (at > text.length) continue;
            seen.tokens += 1;
            const isLast = at === maxNewTokens - 1;
            const isEnd = at === text.length;
            const finishReason = isEnd ? "stop" : isLast ? "length" : null;
            yield { index, sample: 0, tokenId: text[at] ?? end, logProb: null, finishReason };
          }
      },
      [Symbol.asyncDispose]: async () => {
        seen.closed += 1;
      },
    }),
  };
  return { model, seen };
}

const options: GenerateTextOptions = {
  temperature: 0.5,
  topP: 0.9,
  presencePenalty: 0,
  maxTokens: 20,
  stop: ["\n\n", "9."],
  seed: 7,
  step: "instructions",
};
const settings = { prompting: null, repetitionPenalty: null };

test("prompts of a batch go on together, each to its first stop, its end or its length", async () => {
  const { model, seen } = scripted(["one\n\ntwo", "one 8. two 9. three", "short", "a text that is longer than that"]);
  const generator = modelGenerator(model, settings);
  expect(await generator.generate(["a", "bb", "c", "d"], options)).toEqual([
    { text: "one", finishReason: "stop" },
    { text: "one 8. two ", finishReason: "stop" },
    { text: "short", finishReason: "stop" },
    { text: "a text that is longe", finishReason: "length" },
  ]);
  const [request] = seen.requests;
  expect(request).toMatchObject({ temperature: 0.5, topP: 0.9, maxNewTokens: 20, seed: 7, repetitionPenalty: 1.1 });
  expect(request?.prompts.map((ids) => letterTokenizer.decode(ids))).toEqual(["a", "bb", "c", "d"]);
  expect(seen.closed).toBe(0);
  await generator.close();
  expect(seen.closed).toBe(1);
});

test("of two stops that end at once the first counts, and the token that ends a turn is no text whatever it says", async () => {
  const { model } = scripted(["one\n9. two", "ends"], 400, codes("!")[0]);
  expect(await modelGenerator(model, settings).generate(["a", "b"], { ...options, stop: [".", "\n9."] })).toEqual([
    { text: "one", finishReason: "stop" },
    { text: "ends", finishReason: "stop" },
  ]);
});

test("a run that goes on must share the model and its repetition penalty", () => {
  const { model } = scripted([]);
  const identityOf = (...of: Parameters<typeof modelGenerator>) => modelGenerator(...of).identity;
  const usual = { type: "model", model: "models/scripted", repetitionPenalty: 1.1 };
  expect(identityOf(model, settings)).toEqual(usual);
  expect(identityOf(model, { ...settings, repetitionPenalty: 1.2 })).toEqual({ ...usual, repetitionPenalty: 1.2 });
  expect(identityOf({ ...model, identity: "own" }, settings)).toEqual({ ...usual, model: "own" });
});

test("where all texts have ended, no more tokens are made", async () => {
  const { model, seen } = scripted(["a\n\nmore and more", "b\n\nmore and more"]);
  await modelGenerator(model, settings).generate(["a", "b"], options);
  expect(seen.tokens).toBe(6);
});

test("a prompt is a text to continue or a user's turn, and fits into the context", async () => {
  const { model, seen } = scripted(["yes"], 30);
  const chat = modelGenerator(model, { prompting: "chat", repetitionPenalty: 1.3 });
  await chat.generate(["hello"], options);
  const [request] = seen.requests;
  expect(Array.from(request?.prompts[0] ?? [])).toEqual([129, ...codes("hello"), endOfTurn, 130]);
  expect(request).toMatchObject({ repetitionPenalty: 1.3, maxNewTokens: 20 });
  await chat.generate(["x".repeat(20)], options);
  expect(seen.requests[1]?.maxNewTokens).toBe(7);
  await expect(chat.generate(["x".repeat(40)], options)).rejects.toThrow(
    /fewer tokens than the model's context of 30, got 43 in the step instructions/u,
  );
  await expect(chat.generate(["x".repeat(27)], options)).rejects.toThrow(/context of 30, got 30 in the step/u);
  const plain = { ...model, tokenizer: { ...letterTokenizer, info: { ...letterTokenizer.info, chatTemplate: null } } };
  expect(() => modelGenerator(plain, { prompting: "chat", repetitionPenalty: null })).toThrow(
    /\[prompting\] expected a model/u,
  );
});

test("a run asks a model without a presence penalty, refuses one, and frees the weights", async () => {
  const { model, seen } = scripted([" Sing a song of rain and wind.", " Name three birds of the sea."], 20_000);
  await eventsOf({ generate: model, maxRequests: 5 });
  expect(seen.closed).toBe(1);
  expect(seen.requests.at(-1)).toMatchObject({ temperature: 0, repetitionPenalty: 1.1 });
  await expect(async () => eventsOf({ generate: model, presencePenalty: 2 })).rejects.toThrow(
    /\[presencePenalty\] expected none, since a Tunesmith model has none, got 2; give repetitionPenalty/u,
  );
});
