import { expect, test } from "vitest";
import { codes, letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { conversationKind } from "./conversation.ts";
import { promptsOfItems, promptsOfTexts } from "./held-out.ts";
import { pairKind } from "./pair.ts";
import { textKind } from "./text.ts";

test("a held-out row gives its prompt up to the last answer, and that answer", async () => {
  const messages = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
    { role: "user", content: "c" },
    { role: "assistant", content: "d" },
  ];
  const prompts = await promptsOfItems(
    [
      { kind: conversationKind, value: { conversation: { messages }, completionStart: 0 } },
      { kind: pairKind, value: { prompt: "pp", completion: "q" } },
      { kind: textKind, value: "none" },
    ],
    letterTokenizer,
  );
  expect(prompts.map(({ prompt, reference }) => [prompt, reference])).toEqual([
    ["c", "d"],
    ["pp", "q"],
  ]);
  expect(prompts[0]?.ids).toEqual(
    Int32Array.of(129, ...codes("a"), 131, 130, ...codes("b"), 131, 129, ...codes("c"), 131, 130),
  );
  expect(prompts[1]?.ids).toEqual(Int32Array.from(codes("pp")));
});

test("own prompts are user turns where there is a chat template", async () => {
  const plain = { ...letterTokenizer, info: { ...letterTokenizer.info, chatTemplate: null } };
  expect((await promptsOfTexts(["a"], letterTokenizer))[0]?.ids).toEqual(Int32Array.of(129, ...codes("a"), 131, 130));
  expect((await promptsOfTexts(["a"], plain))[0]?.ids).toEqual(Int32Array.from(codes("a")));
});
