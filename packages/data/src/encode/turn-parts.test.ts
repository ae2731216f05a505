import type { Conversation, ConversationOptions } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { prepareRows, trainedTexts } from "../testing/prepare-rows.ts";

/** As if digits were tool calls and capitals reasoning. */
const marking = {
  ...letterTokenizer,
  async encodeConversations(conversations: readonly Conversation[], options: ConversationOptions = {}) {
    const encoded = await letterTokenizer.encodeConversations(conversations, options);
    return encoded.map((row) => {
      const ranges = (first: string, last: string) => {
        const places = Array.from(row.ids.keys()).filter((t) => {
          const inTurn = row.turns.some((_, n) => t >= (row.spans[2 * n] ?? 0) && t < (row.spans[2 * n + 1] ?? 0));
          const letter = String.fromCharCode(row.ids[t] ?? 0);
          return inTurn && letter >= first && letter <= last;
        });
        return Int32Array.from(places.flatMap((t) => [t, t + 1]));
      };
      return {
        ...row,
        ...(options.findToolCalls && { toolCalls: ranges("0", "9") }),
        ...(options.findReasoning && { reasoning: ranges("A", "Z") }),
      };
    });
  },
};

const talk = (...contents: string[]) => ({
  messages: contents.map((content, n) => ({ role: n % 2 === 0 ? "user" : "assistant", content })),
});
const rows = [talk("q1Q", "ABx12", "q", "Cy3")];

test("tool calls and reasoning are trained, or are context while the rest of the turn is trained", async () => {
  const trained = (options: object) => trainedTexts(rows, options, marking);
  expect(await trained({})).toEqual(["______ABx12$____Cy3$"]);
  expect(await trained({ trainOnToolCalls: true, trainOnReasoning: true })).toEqual(["______ABx12$____Cy3$"]);
  expect(await trained({ trainOnToolCalls: false })).toEqual(["______ABx__$____Cy_$"]);
  expect(await trained({ trainOnReasoning: false })).toEqual(["________x12$_____y3$"]);
  expect(await trained({ trainOnToolCalls: false, trainOnReasoning: false })).toEqual(["________x__$_____y_$"]);
  expect(await trained({ trainOnReasoning: false, lastResponseOnly: true })).toEqual(["_________________y3$"]);
});

test("parts that are left out weigh what the prompt weighs, in turns of any weight", async () => {
  const weights = async (options: object, row: object = rows[0] as object) => {
    const { examples } = await prepareRows([row] as Record<string, unknown>[], options, marking);
    const { labels, weights: given } = [...examples][0] ?? expect.unreachable();
    return Array.from(labels, (label, t) => (label === -100 ? 0 : (given?.[t] ?? 1))).slice(6);
  };
  const out = { trainOnToolCalls: false, promptLossWeight: 0.25 };
  expect(await weights(out)).toEqual([1, 1, 1, 0.25, 0.25, 1, 0.25, 0.25, 0.25, 0.25, 1, 1, 0.25, 1]);
  const { messages } = talk("q1Q", "ABx12");
  const weighted = (weight: number) => ({ messages: [messages[0], { ...messages[1], weight }] });
  expect(await weights(out, weighted(2))).toEqual([2, 2, 2, 0.5, 0.5, 2]);
  expect(
    await weights(out, {
      ...talk("q1Q", "ABx12", "q", "y"),
      messages: [...weighted(0).messages, ...talk("q", "y").messages],
    }),
  ).toEqual([0, 0, 0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25, 1, 1]);
  // Where all is trained the parts still are not.
  expect(await weights({ trainOnToolCalls: false, assistantOnlyLoss: false })).toEqual([
    1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1,
  ]);
});

test("rows in which no part of an answer is told apart are refused", async () => {
  for (const [row, kind] of [
    [{ text: "<think>t</think>a" }, /plain text/u],
    [{ prompt: "a", completion: "<think>t</think>b" }, /prompts and completions as text/u],
    [{ input_ids: [5, 6] }, /token ids without labels/u],
  ] as const) {
    for (const option of ["trainOnToolCalls", "trainOnReasoning"]) {
      const prepared = prepareRows([row], { [option]: false }, marking);
      await expect(prepared).rejects.toThrow(new RegExp(`\\[${option}\\] expected true, or rows that say`, "u"));
      await expect(prepareRows([row], { [option]: false }, marking)).rejects.toThrow(kind);
    }
  }
  const labelled = [{ input_ids: [5, 6, 7], labels: [-100, 6, 7] }];
  expect((await prepareRows(labelled, { trainOnToolCalls: false }, marking)).report.trainedTokens).toBe(2);
});
