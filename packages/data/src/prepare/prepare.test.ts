import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataError, OptionError, TemplateError, type Tokenizer } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import type { ConversationItem } from "../encode/conversation.ts";
import type { Item } from "../encode/item.ts";
import type { DatasetSource } from "../sources/rows.ts";
import { plainOptions, trainedTexts } from "../testing/prepare-rows.ts";
import { prepare } from "./prepare.ts";
import type { PrepareOptions, PrepareProgress } from "./prepare-options.ts";

const defaults: PrepareOptions = { ...plainOptions, maxLength: 100 };

const run = (rows: DatasetSource, options: Partial<PrepareOptions> = {}) =>
  prepare(rows, letterTokenizer, { ...defaults, ...options });

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string, extra: object = {}) => ({ role: "assistant", content, ...extra });

const trained = (rows: DatasetSource, options: Partial<PrepareOptions> = {}) =>
  trainedTexts(rows, { maxLength: 100, ...options });

test("conversations: the assistant's turns are trained, with the token that ends them", async () => {
  const row = { messages: [user("ab"), assistant("cd"), user("e"), assistant("f")] };
  expect(await trained([row])).toEqual(["_____cd$____f$"]);
  expect(await trained([row], { assistantOnlyLoss: false })).toEqual(["^ab$^cd$^e$^f$"]);
});

test("weight 0 and train false leave a turn out", async () => {
  const rows = [
    { messages: [user("a"), assistant("b", { weight: 0 }), user("c"), assistant("d", { weight: 1 })] },
    { messages: [user("a"), assistant("b", { train: false }), user("c"), assistant("d")] },
  ];
  expect(await trained(rows)).toEqual(["__________d$", "__________d$"]);
});

test("what is null is absent, as writers of tables leave it, and 1.0 is 1", async () => {
  const absent = { weight: null, train: null, tool_calls: null };
  const rows = [
    { messages: [{ ...user("a"), ...absent }, assistant("b", absent)] },
    JSON.parse(
      '{"messages":[{"role":"user","content":"a","weight":0.0},{"role":"assistant","content":"b","weight":1.0}]}',
    ),
  ];
  expect(await trained(rows)).toEqual(["____b$", "____b$"]);
});

test("text parts are a text, and other parts are refused by their type", async () => {
  const parts = (...content: object[]) => ({ messages: [{ role: "user", content }, assistant("b")] });
  const text = (letters: string) => ({ type: "text", text: letters });
  expect(await trained([parts(text("a"), text("c"))])).toEqual(["_____b$"]);
  await expect(run([parts(text("a"), { type: "image_url", image_url: "x" })])).rejects.toThrow(
    /part of type "text" in messages\[0\]\.content\[1\], got type "image_url"/u,
  );
  await expect(run([parts({ type: "text" })])).rejects.toThrow(/got an object; correct it/u);
});

test("a turn may hold a call or a refusal in place of its text", async () => {
  const turn = (extra: object) => ({ messages: [user("a"), { role: "assistant", content: null, ...extra }] });
  const rows = [
    turn({ refusal: "no" }),
    turn({ function_call: { name: "f", arguments: "{}" } }),
    turn({ tool_calls: [] }),
  ];
  expect(await trained(rows)).toEqual(["____$", "____$", "____$"]);
});

test("prompt and completion: only the completion is trained, unless asked otherwise", async () => {
  const row = { prompt: "ab", completion: "cd" };
  expect(await trained([row])).toEqual(["__cd$"]);
  expect(await trained([row], { completionOnlyLoss: false })).toEqual(["abcd$"]);
});

test("conversational prompt and completion: only the completion's assistant turns are trained", async () => {
  const row = { prompt: [user("a"), assistant("b"), user("c")], completion: [assistant("d")] };
  expect(await trained([row])).toEqual(["__________d$"]);
  expect(await trained([row], { completionOnlyLoss: false })).toEqual(["____b$____d$"]);
  expect(await trained([row], { completionOnlyLoss: false, assistantOnlyLoss: false })).toEqual(["^a$^b$^c$^d$"]);
});

test("text: every token is trained, in the column that was named", async () => {
  expect(await trained([{ text: "ab" }])).toEqual(["ab$"]);
  expect(await trained([{ body: "ab" }], { datasetTextField: "body" })).toEqual(["ab$"]);
});

test("columns choose the format, messages first; the option forces one", async () => {
  const row = { text: "t", prompt: "p", completion: "c", messages: [user("a"), assistant("b")], id: 1 };
  const { report } = await run([row]);
  expect([report.format, report.ignoredColumns]).toEqual(["messages", ["text", "prompt", "completion", "id"]]);
  expect((await run([row], { datasetFormat: "prompt-completion" })).report.format).toBe("prompt-completion");
  expect((await run([row], { datasetFormat: "text" })).report.format).toBe("text");
});

test("tools are taken as a list and as JSON", async () => {
  const tools = [{ name: "f" }];
  const messages = [user("a"), assistant("b")];
  const { items } = await run(
    [
      { messages, tools },
      { messages, tools: JSON.stringify(tools) },
      { messages, tools: tools.map((tool) => JSON.stringify(tool)), functions: null },
      { messages, functions: tools, tools: null },
      { messages, tools: [] },
    ],
    { keepItems: 5 },
  );
  const functions = tools.map((tool) => ({ type: "function", function: tool }));
  const read = items.map((item) => (item as Item<ConversationItem>).value.conversation.tools);
  expect(read).toEqual([tools, tools, tools, functions, []]);
  await expect(run([{ messages, tools: "{" }])).rejects.toThrow(
    /rows:1: expected a JSON array in column "tools".*; correct or remove/,
  );
  await expect(run([{ messages, functions: ["f"] }])).rejects.toThrow(/expected a JSON object in functions\[0\]/);
  await expect(run([{ messages, tools: [[]] }])).rejects.toThrow(
    /expected an object in tools\[0\], got an empty array/,
  );
});

test("truncation keeps the start, and counts rows and lost answers", async () => {
  const rows = [
    { prompt: "abcd", completion: "ef" },
    { prompt: "a", completion: "bcd" },
    { prompt: "a", completion: "b" },
    { prompt: "abcdefgh", completion: "i" },
  ];
  const { examples, report } = await run(rows, { maxLength: 5 });
  expect(Array.from(examples, ({ length, rowId, truncated }) => [length, rowId, truncated])).toEqual([
    [5, 0, true],
    [5, 1, false],
    [3, 2, false],
  ]);
  expect(report).toMatchObject({ rows: 4, kept: 3, truncated: 2, truncatedReplies: 2 });
  expect(report.dropped).toEqual([
    { source: "rows", line: 4, reason: "no trained token within maxLength 5 (the row has 10)" },
  ]);
  expect(report.tokens).toEqual({ min: 3, median: 5, p95: 5, max: 5, total: 13 });
  expect(report).toMatchObject({ trainedTokens: 7, trainedShare: 7 / 13 });
});

test("of very long rows only the start is encoded, and what is cut is counted in part", async () => {
  const asked: (number | null | undefined)[] = [];
  const cut = <T extends { ids: Int32Array }>(row: T, maxTokens = row.ids.length): T => {
    asked.push(maxTokens);
    return { ...row, ids: row.ids.slice(0, maxTokens) };
  };
  const impatient: Tokenizer = {
    ...letterTokenizer,
    encodeTexts: async (texts, options) =>
      (await letterTokenizer.encodeTexts(texts, options)).map(
        (ids) => cut({ ids }, options?.maxTokens ?? undefined).ids,
      ),
    encodePairs: async (pairs, options) =>
      (await letterTokenizer.encodePairs(pairs)).map((row) => cut(row, options?.maxTokens ?? undefined)),
    encodeConversations: async (rows, options) =>
      (await letterTokenizer.encodeConversations(rows)).map((row) => {
        const { ids, spans, turns } = cut(row, options?.maxTokens ?? undefined);
        return { ids, spans: spans.map((place) => Math.min(place, ids.length)), turns };
      }),
  };
  const long = "x".repeat(5000);
  const talk = (...messages: object[]) => ({ messages });
  const prepared = (row: Record<string, unknown>, options: Partial<PrepareOptions> = {}) =>
    prepare([row], impatient, { ...defaults, maxLength: 10, ...options });
  const text = await prepared({ text: long });
  expect(text.report).toMatchObject({ truncated: 1, truncatedReplies: 1, uncounted: 1, cutTokens: { answer: 4096 } });
  const pair = await prepared({ prompt: "a", completion: long });
  expect(pair.report).toMatchObject({ truncatedReplies: 1, uncounted: 1 });
  const first = await prepared(talk(user("a"), assistant("b"), user(long), assistant("c")));
  expect(first.report).toMatchObject({ truncatedReplies: 1, uncounted: 1, cutTokens: { answer: 0 } });
  const context = await prepared(talk(user("a"), assistant("b"), user(long), assistant("c", { train: false })));
  expect(context.report).toMatchObject({ truncated: 1, truncatedReplies: 0, uncounted: 1 });
  await expect(prepared(talk(user(long), assistant("c")))).rejects.toThrow(/the row has more than 4106/u);
  expect((await prepared({ text: "x".repeat(20) })).report).toMatchObject({ uncounted: 0, cutTokens: { answer: 11 } });
  expect(new Set(asked)).toEqual(new Set([4106]));
  for (const options of [{ maxLength: null }, { truncationMode: "keep_end" as const }])
    expect((await prepared({ text: long }, options)).report.uncounted).toBe(0);
  expect(asked.at(-1)).toBe(5001);
});

test("truncation keeps the end, leaves rows out, or is an error", async () => {
  const rows = [
    { prompt: "abcd", completion: "ef" },
    { prompt: "a", completion: "b" },
  ];
  const end = await run(rows, { maxLength: 4, truncationMode: "keep_end" });
  expect(await trained(rows, { maxLength: 4, truncationMode: "keep_end" })).toEqual(["_ef$", "_b$"]);
  expect(end.report).toMatchObject({ truncated: 1, truncatedReplies: 0, cutTokens: { prompt: 3, answer: 0 } });
  const start = await run(rows, { maxLength: 5 });
  expect(start.report.cutTokens).toEqual({ prompt: 0, answer: 2 });
  const { report } = await run(rows, { maxLength: 4, truncationMode: "drop" });
  expect(report).toMatchObject({
    kept: 1,
    truncated: 0,
    dropped: [{ source: "rows", line: 1, reason: "7 tokens, more than maxLength 4" }],
  });
  await expect(run(rows, { maxLength: 4, truncationMode: "error" })).rejects.toThrow(
    /rows:1: expected at most 4 tokens \(maxLength\), got 7; shorten the row/u,
  );
});

test("duplicates and tokens across the prompt's end are counted", async () => {
  const row = { prompt: "ab ", completion: "c" };
  const { report, locate, examples } = await run([row, { prompt: "x", completion: "y" }, row, row]);
  expect(report).toMatchObject({ duplicates: 2, prefixMismatches: 3, kept: 4 });
  expect(locate(examples.at(2).rowId)).toBe("rows:3");
});

test("equal data has an equal fingerprint, other labels another one", async () => {
  const rows = [{ prompt: "ab", completion: "c" }];
  const { fingerprint } = await run(rows);
  expect((await run(structuredClone(rows))).fingerprint).toBe(fingerprint);
  expect((await run(rows, { completionOnlyLoss: false })).fingerprint).not.toBe(fingerprint);
});

test("a data set of which nothing can be trained is refused, showing its first row", async () => {
  const rows = [{ messages: [user("hello"), assistant("b", { train: false })] }];
  await expect(run(rows)).rejects.toThrow(DataError);
  await expect(run(rows)).rejects.toThrow(
    /all 1 rows are left out; first row \(line 1\): no trained token, decoded: "<129>hello<131><130>b<131>"/,
  );
  await expect(run([])).rejects.toThrow(/at least one row, got none; add rows/);
});

test("each malformed row is named by its line", async () => {
  const good = { messages: [user("a"), assistant("b")] };
  const bad: [object, RegExp][] = [
    [{ messages: [user("a")] }, /expected an assistant turn to learn from, got the roles user/],
    [{ messages: [] }, /expected a list of messages in column "messages", got an empty array; give each turn/],
    [{ messages: "a" }, /got a string/],
    [{ other: 1 }, /got nothing/],
    [{ messages: [user("a"), null] }, /expected \{ role, content \} in messages\[1\], got null/],
    [{ messages: [{ content: "a" }] }, /expected a role in messages\[0\], one of system, .*, got nothing; rename it/],
    [
      { messages: [user("a"), assistant("b"), { role: "bot", content: "c" }] },
      /expected a role in messages\[2\].*got "bot"/,
    ],
    [{ messages: [{ role: "assistant" }] }, /got null without tool_calls/],
    [
      { messages: [assistant("a"), { role: "user", content: [] }] },
      /expected text in messages\[1\].content, got an empty array/,
    ],
    [{ messages: [user("\ud800"), assistant("b")] }, /half of a surrogate pair/],
    [
      { messages: [user("a"), assistant("b", { weight: -2 })] },
      /expected a loss weight from 0 in messages\[1\].weight, got -2/,
    ],
    [{ messages: [user("a"), assistant("b", { train: "no" })] }, /expected true or false/],
    [{ ...good, tools: 3 }, /expected an array in column "tools", got a number/],
    [{ ...good, chat_template_kwargs: [] }, /expected an object in column "chat_template_kwargs"/],
    [{ messages: [user("broken"), assistant("b")] }, /expected another text, got "broken"/],
    [{ messages: [{ role: "tool", content: "a" }, assistant("b")] }, /expected a known role, got "tool"/],
  ];
  for (const [row, message] of bad) {
    await expect(run([good, row as Record<string, unknown>])).rejects.toThrow(message);
    await expect(run([good, row as Record<string, unknown>])).rejects.toThrow(/rows:2: /);
  }
  await expect(run([{ prompt: "a", completion: [assistant("b")] }])).rejects.toThrow(
    /of one kind, got a string and an array/,
  );
  await expect(run([{ other: 1 }])).rejects.toThrow(
    /expected the columns "input_ids", or "messages", or "prompt" \+ "completion", .*, or "text", got "other"; rename/,
  );
});

test("a template that refuses every row is the template's fault, not the rows'", async () => {
  const row = { messages: [{ role: "tool", content: "a" }, assistant("b")] };
  await expect(run([row, row])).rejects.toThrow(TemplateError);
});

test("completionOnlyLoss asks for rows with a completion", async () => {
  await expect(run([{ text: "a" }], { completionOnlyLoss: true })).rejects.toThrow(OptionError);
  await expect(run([{ messages: [user("a"), assistant("b")] }], { completionOnlyLoss: true })).rejects.toThrow(
    OptionError,
  );
});

test("more rows than one batch keep their order", async () => {
  const rows = Array.from({ length: 600 }, (_, n) => ({ prompt: "p".repeat((n % 7) + 1), completion: `c${n}` }));
  const { examples } = await run(rows);
  expect(Array.from(examples, (example) => example.rowId)).toEqual(rows.map((_, n) => n));
  expect(letterTokenizer.decode(examples.at(599).ids)).toBe("pppppc599");
});

test("tells how far it is: of a file by its bytes, of an array by its rows, of an iterable by rows alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-progress-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const rows = Array.from({ length: 600 }, (_, n) => ({ prompt: "p", completion: `c${n}` }));
  const path = join(folder, "rows.jsonl");
  // More than is read at once.
  const line = `${JSON.stringify({ ...rows[0], other: "x".repeat(10_000) })}\n`;
  await writeFile(path, line.repeat(600));
  const heard = async (source: DatasetSource) => {
    const told: PrepareProgress[] = [];
    await run(source, { onProgress: (progress) => told.push(progress) });
    return told;
  };
  const array = await heard(rows);
  expect(array).toEqual([
    { rows: 256, share: 256 / 600 },
    { rows: 512, share: 512 / 600 },
    { rows: 600, share: 1 },
  ]);
  const shares = (await heard(path)).map(({ share }) => share as number);
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
  expect(shares[0]).toBeLessThan(1);
  expect(shares.at(-1)).toBe(1);
  expect((await heard(rows.values())).at(-1)).toEqual({ rows: 600, share: null });
});

test("a template that has written other rows is not at fault where it refuses all of a batch", async () => {
  const bad = { messages: [{ role: "tool", content: "a" }, assistant("b")] };
  const rows = [{ messages: [user("a"), assistant("b")] }, ...new Array<typeof bad>(600).fill(bad)];
  const { report } = await run(rows, { onBadRow: "skip" });
  expect([report.kept, report.skipped.count]).toEqual([1, 600]);
});
