import { type LanguageModel, OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { trainer as make } from "../testing/sft-trainer.ts";
import { trainOnResponsesOnly } from "./responses-only.ts";

const row = {
  messages: ["a", "b", "c", "d"].map((content, n) => ({ role: n % 2 === 0 ? "user" : "assistant", content })),
};

/** Trained tokens of a run's rows. */
async function trainedTokens(rows: object[], options: object, args: object = {}): Promise<number> {
  const more = { trainDataset: rows as Record<string, unknown>[] };
  const { trainer } = await make({ ...args, maxSteps: 1 }, {}, more);
  return (await trainOnResponsesOnly(trainer, options).dryRun()).data.trainedTokens;
}

test("all answers are trained, or the last one", async () => {
  expect(await trainedTokens([row], {})).toBe(4);
  expect(await trainedTokens([row], { lastResponseOnly: true })).toBe(2);
  const { trainer } = await make({ lastResponseOnly: true, maxSteps: 1 }, {}, { trainDataset: [row] });
  expect((await trainer.dryRun()).data.trainedTokens).toBe(2);
});

test("a prompt with its completion has one answer", async () => {
  expect(await trainedTokens([{ prompt: "ab", completion: "c" }], { lastResponseOnly: true })).toBe(2);
  const [a, b, c, d] = row.messages;
  const conversation = { prompt: [a], completion: [b, c, d] };
  expect(await trainedTokens([conversation], {})).toBe(4);
  expect(await trainedTokens([conversation], { lastResponseOnly: true })).toBe(2);
});

test("rows that do not say what the answer is are refused", async () => {
  const rows = [{ text: "<user>a<end><assistant>b<end>" }];
  await expect(trainedTokens(rows, {})).rejects.toThrow(
    /\[trainOnResponsesOnly\] expected rows that say which part is the answer, got plain text/u,
  );
  await expect(trainedTokens([{ input_ids: [5, 6] }], {})).rejects.toThrow(/got token ids without labels or masks/u);
  expect(await trainedTokens([{ input_ids: [5, 6, 7], labels: [-100, 6, 7] }], {})).toBe(2);
});

test("the parts are those of the chat template, or an error shows what it writes", async () => {
  const { trainer } = await make();
  const parts = { instructionPart: "<user>", responsePart: "<assistant>" };
  expect(trainOnResponsesOnly(trainer, parts)).toBe(trainer);
  const wrong: [object, RegExp][] = [
    [{ ...parts, responsePart: "<|assistant|>" }, /\[responsePart\] .* got "<\|assistant\|>"; it writes "<user>QUEST/u],
    [
      { instructionPart: "<assistant>", responsePart: "<user>" },
      /\[instructionPart\] expected what the chat template/u,
    ],
    [{ instructionPart: "<user>" }, /\[responsePart\] expected both instructionPart and responsePart/u],
    [{ lastResponse: true }, /lastResponseOnly/u],
  ];
  for (const [options, message] of wrong) {
    expect(() => trainOnResponsesOnly(trainer, options)).toThrow(OptionError);
    expect(() => trainOnResponsesOnly(trainer, options)).toThrow(message);
  }
});

test("for a wrong part the one is proposed that the chat template writes, if it writes one", async () => {
  const { trainer } = await make();
  const wrong = (instructionPart: string, responsePart: string) => () =>
    trainOnResponsesOnly(trainer, { instructionPart, responsePart });
  expect(wrong("<user>", "<|assistant|>")).toThrow(/: did you mean "<assistant>"\? Or leave both out/u);
  expect(wrong("<human>", "<assistant>")).toThrow(/: did you mean "<user>"\? Or leave both out/u);
  const render = ({ messages }: { messages: readonly { role: string; content?: unknown }[] }) =>
    messages.map(({ content }) => String(content)).join("");
  const bare = { ...fakeModel(), tokenizer: { ...letterTokenizer, render } };
  const { trainer: other } = await make({}, {}, { model: bare as LanguageModel });
  expect(() => trainOnResponsesOnly(other, { instructionPart: "<user>", responsePart: "<assistant>" })).toThrow(
    /it writes "QUESTIONANSWER": correct the parts, or leave both out/u,
  );
});

test("options that contradict it are refused", async () => {
  await expect(trainedTokens([row], {}, { assistantOnlyLoss: false })).rejects.toThrow(
    /\[assistantOnlyLoss\] expected true with trainOnResponsesOnly, got false/u,
  );
  const { trainer } = await make({ lastResponseOnly: true, completionOnlyLoss: false });
  await expect(trainer.dryRun()).rejects.toThrow(/\[completionOnlyLoss\] expected true with lastResponseOnly/u);
});
