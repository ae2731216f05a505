import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { prepareRows } from "../testing/prepare-rows.ts";

/** A tokenizer that begins every text with `B`, whatever the text is. */
const withBos = {
  ...letterTokenizer,
  info: { ...letterTokenizer.info, bosToken: { id: 66, content: "B" } },
  encodeTexts: (texts: readonly string[], options?: { appendEos?: boolean }) =>
    letterTokenizer.encodeTexts(
      texts.map((text) => `B${text}`),
      options,
    ),
  encodePairs: (pairs: readonly { prompt: string; completion: string }[]) =>
    letterTokenizer.encodePairs(pairs.map(({ prompt, completion }) => ({ prompt: `B${prompt}`, completion }))),
};

test("a text that begins with the token that the tokenizer adds is named by its line", async () => {
  const rows = [{ text: "ok" }, { text: "Bad" }];
  await expect(prepareRows(rows, {}, withBos)).rejects.toThrow(
    /rows:2: \[text\] expected one B at the start, got two/u,
  );
  const pairs = [
    { prompt: "a", completion: "B" },
    { prompt: "Ba", completion: "c" },
  ];
  await expect(prepareRows(pairs, {}, withBos)).rejects.toThrow(/rows:2: .*expected one B at the start, got two/u);
  expect((await prepareRows(pairs.slice(0, 1), {}, withBos)).report.kept).toBe(1);
});

test("answers that are trained without the token that ends them are counted", async () => {
  const row = {
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ],
  };
  const cut = {
    ...letterTokenizer,
    encodeConversations: async (...given: Parameters<typeof letterTokenizer.encodeConversations>) => {
      const encoded = await letterTokenizer.encodeConversations(...given);
      // As a template does whose generation tags hold the content alone.
      return encoded.map((one) => ({ ...one, spans: one.spans.map((at, n) => at - (n % 2)) }));
    },
  };
  expect((await prepareRows([row, row], {}, cut)).report.endsNotTrained).toEqual([
    { name: "<131>", rows: 2, lines: [1, 2] },
  ]);
  expect((await prepareRows([row, row])).report.endsNotTrained).toEqual([]);
});

test("a label follows from the place of a token, never from its id: the token that pads ends answers too", async () => {
  const { endOfTurn } = await import("../../../core/src/testing/letter-tokenizer.ts");
  const padded = {
    ...letterTokenizer,
    info: { ...letterTokenizer.info, padToken: { id: endOfTurn, content: "<end>" } },
  };
  const row = {
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ],
  };
  const { examples } = await prepareRows([row], {}, padded);
  expect(examples.at(0).labels.at(-1)).toBe(endOfTurn);
});
