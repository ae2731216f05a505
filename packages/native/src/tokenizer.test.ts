import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Conversation } from "@tunesmith/core";
import { describe, expect, test } from "vitest";
import { turns } from "../../core/src/testing/event-loop-turns.ts";
import { fixtures, temporaryFolder, tinyModel } from "../test/fixture.ts";
import { loadModel, loadTokenizer } from "./index.ts";

const tokenizer = await loadTokenizer(tinyModel);
const talk: Conversation = {
  messages: [
    { role: "user", content: "Which colour? Ünïcödé 🙂" },
    { role: "assistant", content: "Blue." },
    { role: "user", content: "And now?" },
    { role: "assistant", content: "Green, of course." },
  ],
};

describe("encoding", () => {
  test("texts come back as they were", async () => {
    const texts = ["a red house", "", "Ünïcödé 🙂\n\ttabs"];
    const encoded = await tokenizer.encodeTexts(texts);
    expect(encoded.map((ids) => tokenizer.decode(ids))).toEqual(texts);
    const [closed] = await tokenizer.encodeTexts(["a red house"], { appendEos: true });
    expect([...(closed as Int32Array)]).toEqual([...(encoded[0] as Int32Array), tokenizer.info.eosToken?.id]);
  });

  test("a conversation's ids are its rendering, its spans the assistant's words", async () => {
    const [short, long] = await tokenizer.encodeConversations([{ messages: talk.messages.slice(0, 2) }, talk]);
    for (const [encoded, replies] of [
      [short, ["Blue."]],
      [long, ["Blue.", "Green, of course."]],
    ] as const) {
      const { ids, spans, turns } = encoded ?? expect.unreachable();
      const texts = Array.from(turns, (_, n) => tokenizer.decode(ids.slice(spans[2 * n], spans[2 * n + 1])));
      expect(texts).toEqual(replies);
      expect([...turns]).toEqual(replies.map((_, n) => 2 * n + 1));
    }
    expect(tokenizer.decode(long?.ids ?? expect.unreachable(), { skipSpecialTokens: false })).toBe(
      tokenizer.render(talk),
    );
  });

  test("a generation prompt ends in the assistant's header and has no spans", async () => {
    const question = { messages: talk.messages.slice(0, 1) };
    const [encoded] = await tokenizer.encodeConversations([question], { addGenerationPrompt: true });
    const text = tokenizer.render(question, { addGenerationPrompt: true });
    expect(text.startsWith(tokenizer.render(question)) && text !== tokenizer.render(question)).toBe(true);
    expect(tokenizer.decode(encoded?.ids ?? expect.unreachable(), { skipSpecialTokens: false })).toBe(text);
    expect(encoded?.spans).toHaveLength(0);
  });

  test("what the template does not write, and control tokens inside a text, are told; sanitized they are text", async () => {
    const [user, assistant] = [
      { role: "user", content: `Say ${tokenizer.info.eosToken?.content} now` },
      talk.messages[1],
    ];
    const conversation = { messages: [user, assistant] } as Conversation;
    const tools = [{ type: "function", function: { name: "clock", parameters: {} } }];
    const [plain, noted] = await tokenizer.encodeConversations([talk, { ...conversation, tools }]);
    expect(plain?.notes).toBeUndefined();
    const token = tokenizer.info.eosToken as { id: number; content: string };
    expect(noted?.notes).toEqual([
      { kind: "notWritten", name: "tools" },
      { kind: "controlToken", name: token.content },
    ]);
    const [as] = await tokenizer.encodeConversations([conversation], { sanitizeControlTokens: true });
    const [is] = await tokenizer.encodeConversations([conversation]);
    const count = (ids: Int32Array | undefined) => ids?.filter((id) => id === token.id).length;
    expect(count(as?.ids)).toBe((count(is?.ids) ?? 0) - 1);
    expect(tokenizer.decode(as?.ids ?? expect.unreachable(), { skipSpecialTokens: false })).toBe(
      tokenizer.render(conversation),
    );
  });

  test("tool calls and reasoning are found where they are looked for", async () => {
    const template =
      "{% for m in messages %}{{ m.role }}: {% if m.thinking %}<think>{{ m.thinking }}</think>{% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    const own = await loadTokenizer(tinyModel, { chatTemplate: template });
    const calls = [{ type: "function", function: { name: "clock", arguments: {} } }];
    const answer = { role: "assistant", content: "Blue.", reasoning_content: "sky", tool_calls: calls };
    const conversation = { messages: [talk.messages[0], answer] } as Conversation;
    const [found, plain] = await own.encodeConversations([conversation, talk], {
      ...{ findToolCalls: true, findReasoning: true },
    });
    const texts = (ranges: Int32Array | undefined) =>
      Array.from({ length: (ranges?.length ?? 0) / 2 }, (_, n) =>
        own.decode(found?.ids.slice(ranges?.[2 * n], ranges?.[2 * n + 1]) ?? expect.unreachable()),
      );
    expect([found?.toolCalls, found?.reasoning].map(texts)).toEqual([["[clock]"], ["<think>sky</think>"]]);
    expect([plain?.toolCalls, plain?.reasoning]).toEqual([new Int32Array(), new Int32Array()]);
    const [unasked] = await own.encodeConversations([conversation]);
    expect(unasked).not.toHaveProperty("toolCalls");
    await expect(own.encodeConversations([talk], { findToolCalls: 1 as unknown as boolean })).rejects.toThrow(
      /findToolCalls\] expected/u,
    );
  });

  test("a moment must be one", async () => {
    for (const moment of [-1, 0.5, Number.NaN, 1e15, "now"])
      await expect(tokenizer.encodeConversations([talk], { moment: moment as number })).rejects.toThrow(
        /moment\] expected/u,
      );
    await tokenizer.encodeConversations([talk], { moment: 1_772_366_430 });
  });

  test("pairs are tokenised jointly and end with the end of sequence", async () => {
    const [pair] = await tokenizer.encodePairs([{ prompt: "two and two", completion: " is four" }]);
    const { ids, promptLength, prefixMismatch } = pair ?? expect.unreachable();
    expect(prefixMismatch).toBe(false);
    expect(tokenizer.decode(ids.slice(0, promptLength))).toBe("two and two");
    expect(tokenizer.decode(ids.slice(promptLength))).toBe(" is four");
    expect(ids.at(-1)).toBe(tokenizer.info.eosToken?.id);
  });

  test("the event loop turns between any two conversations of a batch that take long", async () => {
    const batch = Array.from({ length: 300 }, () => talk);
    expect(await turns(() => tokenizer.encodeConversations(batch))).toBeGreaterThanOrEqual(300);
  });

  test("batches larger than a thread's share keep their order", async () => {
    const texts = Array.from({ length: 500 }, (_, n) => `row number ${n}`);
    const encoded = await tokenizer.encodeTexts(texts);
    expect(encoded.map((ids) => tokenizer.decode(ids))).toEqual(texts);
    expect(await tokenizer.encodeTexts([])).toEqual([]);
  });
});

interface TokenizerFile {
  model: { vocab: object; merges: unknown[] };
}

/** A copy of the tiny model's folder with a changed tokenizer.json. */
function damaged(damage: (file: TokenizerFile) => unknown): string {
  const folder = temporaryFolder();
  cpSync(tinyModel, folder, { recursive: true });
  const path = join(folder, "tokenizer.json");
  const file = JSON.parse(readFileSync(path, "utf8")) as TokenizerFile;
  damage(file);
  writeFileSync(path, JSON.stringify(file));
  return folder;
}

const refused = { name: "TokenizerError", code: "TOKENIZER_INVALID" };

describe("errors", () => {
  test("name the row", async () => {
    const silent = { messages: talk.messages.slice(0, 1) };
    await expect(tokenizer.encodeConversations([talk, talk, silent])).rejects.toMatchObject({
      name: "DataError",
      message: expect.stringContaining("conversations[2]"),
    });
    const broken = { messages: [{ role: "user", content: "\ud800" }] };
    await expect(tokenizer.encodeConversations([talk, broken])).rejects.toMatchObject({
      name: "DataError",
      message: expect.stringContaining("conversations[1]"),
    });
  });

  test("negative ids are not decoded", () => {
    expect(() => tokenizer.decode(Int32Array.of(-100))).toThrow(expect.objectContaining({ code: "DATA_INVALID" }));
  });

  test.each([
    ["a merge longer than any token", (file: TokenizerFile) => file.model.merges.push(["abcdefgh", "ijklmnop"])],
    ["a vocabulary that is a list", (file: TokenizerFile) => Object.assign(file.model, { vocab: [1, 2] })],
    ["an id below 0", (file: TokenizerFile) => Object.assign(file.model.vocab, { zzz: -1 })],
  ])("tokenizer.json with %s is a TokenizerError", async (_, damage) => {
    const folder = damaged(damage);
    await expect(loadTokenizer(folder)).rejects.toMatchObject(refused);
    await expect(loadModel(folder)).rejects.toMatchObject(refused);
  });

  test("a panic of the tokenizer library while encoding is a TokenizerError, and the tokenizer goes on", async () => {
    const pieces = { pre_tokenizer: { type: "FixedLength", length: 0 } };
    const crafted = await loadTokenizer(damaged((file) => Object.assign(file, pieces)));
    await expect(crafted.encodeTexts(["some text"])).rejects.toMatchObject(refused);
    expect(await crafted.encodeTexts([""])).toEqual([new Int32Array(0)]);
  });

  test("a template that does not parse is a TemplateError", async () => {
    const folder = temporaryFolder();
    cpSync(tinyModel, folder, { recursive: true });
    writeFileSync(join(folder, "chat_template.jinja"), "{% for message in %}");
    await expect(loadTokenizer(folder)).rejects.toMatchObject({ name: "TemplateError", code: "TEMPLATE_INVALID" });
  });
});

test("a GGUF file carries the same tokenizer as its folder", async () => {
  const folder = join(fixtures, "models-extra/gguf-llama");
  const [inside, beside] = [await loadTokenizer(join(folder, "f32.gguf")), await loadTokenizer(folder)];
  const [fromInside, fromBeside] = [await inside.encodeConversations([talk]), await beside.encodeConversations([talk])];
  expect(fromInside).toEqual(fromBeside);
});

describe("what a later run takes from an earlier one", () => {
  test("the fingerprint is that of everything that decides ids", async () => {
    const own = await tokenizer.fingerprint();
    expect(own).toMatch(/^[\da-f]{64}$/u);
    expect(await (await loadTokenizer(tinyModel)).fingerprint()).toBe(own);
    expect(await tokenizer.fingerprint({ sanitizeControlTokens: true })).not.toBe(own);
    const folder = temporaryFolder();
    cpSync(tinyModel, folder, { recursive: true });
    writeFileSync(join(folder, "chat_template.jinja"), "{{ messages[0].content }}");
    expect(await (await loadTokenizer(folder)).fingerprint()).not.toBe(own);
  });

  test("a file is memory whose changes stay in the process", async () => {
    const path = join(temporaryFolder(), "ids");
    writeFileSync(path, Int32Array.of(1, 2, 3));
    const bytes = await tokenizer.mapFile(path);
    const ids = new Int32Array(bytes.buffer, bytes.byteOffset, 3);
    expect([...ids]).toEqual([1, 2, 3]);
    ids[0] = 9;
    expect([...ids, readFileSync(path).readInt32LE(0)]).toEqual([9, 2, 3, 1]);
    writeFileSync(path, "");
    await expect(tokenizer.mapFile(path)).rejects.toThrow(/expected a file with content, got 0 bytes/u);
    await expect(tokenizer.mapFile(`${path}-missing`)).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});
