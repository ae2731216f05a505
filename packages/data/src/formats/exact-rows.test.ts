import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeExact } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import type { ConversationItem } from "../encode/conversation.ts";
import { prepare } from "../prepare/prepare.ts";
import type { DatasetSource } from "../sources/rows.ts";
import { plainOptions } from "../testing/prepare-rows.ts";

/** The conversations of a source as they go to the chat template. */
async function conversations(source: DatasetSource): Promise<string[]> {
  const { items } = await prepare(source, letterTokenizer, { ...plainOptions, keepItems: 10 });
  return items.map(({ value }) => writeExact((value as ConversationItem).conversation));
}

async function file(...lines: string[]): Promise<string> {
  const path = join(await scratchFolder(onTestFinished), "rows.jsonl");
  await writeFile(path, `${lines.join("\n")}\n`);
  return path;
}

const numbers = '{"id":98765432109876543210,"fee":7.0,"rate":1e5,"12":-0.0,"3":0.10,"a":1}';
const call = `[{"type":"function","function":{"name":"f","arguments":${numbers}}}]`;
const messages = `[{"role":"user","content":"a"},{"role":"assistant","content":"b","tool_calls":${call}}]`;

test("numbers and the order of keys go from the file to the template as they are", async () => {
  const tools = `[{"name":"f","maximum":9007199254740993,"2":0,"1":0.0}]`;
  const expected = `{"messages":${messages},"tools":${tools},"chatTemplateKwargs":${numbers}}`;
  const columns = (written: string) =>
    `{"messages":${messages},"tools":${written},"chat_template_kwargs":${numbers},"7":1}`;
  expect(await conversations(await file(columns(tools), columns(JSON.stringify(tools))))).toEqual([expected, expected]);
  const array = join(await scratchFolder(onTestFinished), "rows.json");
  await writeFile(array, `[${columns(tools)},\n${columns(tools)}]`);
  expect(await conversations(array)).toEqual([expected, expected]);
});

test("prompt and completion keep them too", async () => {
  const row = `{"prompt":[{"role":"user","content":"a"}],"completion":[{"role":"assistant","content":"b","n":1.0}]}`;
  const [text] = await conversations(await file(row));
  expect(text).toBe('{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","n":1.0}]}');
});

test("BigInts of programs are integers", async () => {
  const rows = [{ messages: [{ role: "assistant", content: "b", id: 12345678901234567890n }] }];
  expect(await conversations(rows)).toEqual([
    '{"messages":[{"role":"assistant","content":"b","id":12345678901234567890}]}',
  ]);
});

test("a weight is a number however it is written, and null is none", async () => {
  const row = (weight: string) => `{"messages":[{"role":"assistant","content":"b","weight":${weight}}]}`;
  const { examples, report } = await prepare(
    await file(...["1.0", "1", "1e0", "null"].map(row)),
    letterTokenizer,
    plainOptions,
  );
  expect([examples.length, report.dropped]).toEqual([4, []]);
  const zero = await prepare(await file(row("1"), row("0.0"), row("-0")), letterTokenizer, plainOptions);
  expect(zero.report.dropped.map(({ line }) => line)).toEqual([2, 3]);
  await expect(prepare(await file(row("-0.50")), letterTokenizer, plainOptions)).rejects.toThrow(
    /rows.jsonl:1: expected a loss weight from 0 in messages\[0\].weight, got -0.50/u,
  );
});

test("a number is no row, no message and no list", async () => {
  const good = '{"messages":[{"role":"assistant","content":"b"}]}';
  for (const [row, got] of [
    ["10.0", /:2: expected an object with the row's columns, got "10.0"/u],
    ['{"messages":[1.0]}', /:2: expected \{ role, content \} in messages\[0\], got a number/u],
    ['{"messages":[{"role":"assistant","content":1.0}]}', /content, got a number/u],
    ['{"messages":[{"role":1.0,"content":""}]}', /got a number; rename it/u],
    ['{"messages":1e5}', /got a number/u],
    [`{"messages":${messages},"tools":1.0}`, /"tools", got a number/u],
    [`{"messages":${messages},"chat_template_kwargs":1.0}`, /"chat_template_kwargs", got a number/u],
  ] as const)
    await expect(prepare(await file(good, row), letterTokenizer, plainOptions)).rejects.toThrow(got);
});
