import { terminalText } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { aDay, cases, tried } from "../../../core/src/testing/trials.ts";
import { plainTokenizer } from "../testing/prepare-rows.ts";
import { type Format, RowError } from "./format.ts";
import { formats } from "./index.ts";
import { ItemReader } from "./item-reader.ts";

type Random = (below: number) => number;
type Fields = Record<string, unknown>;

/** A seeded stream of whole numbers below a bound. */
function randomly(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;

const asked = { role: "user", content: "a" };
const answered = { role: "assistant", content: "b", weight: 1, tool_calls: [{ function: { name: "f" } }] };
const extras = { tools: [{ name: "f" }], chat_template_kwargs: { a: 1 } };

/** Rows of every format, whole. */
const whole: Readonly<Record<string, readonly Fields[]>> = {
  tokenized: [
    { input_ids: [1, 2, 3], labels: [-100, 2, 3], attention_mask: [1, 1, 0], position_ids: [0, 1, 2] },
    { input_ids: [1, 2], completion_mask: [0, 1], assistant_masks: [0, 1], seq_lengths: [2] },
  ],
  messages: [
    { messages: [asked, answered], ...extras },
    { messages: [{ role: "user", content: [{ type: "text", text: "a" }] }, answered], functions: [{ name: "f" }] },
  ],
  "prompt-completion": [
    { prompt: "a", completion: "b" },
    { prompt: [asked], completion: [answered], ...extras },
  ],
  sharegpt: [
    {
      conversations: [
        { from: "human", value: "a" },
        { from: "function_call", value: '{"name":"f","arguments":{}}' },
        { from: "gpt", value: "b" },
      ],
      system: "s",
      tools: '[{"name":"f"}]',
    },
  ],
  alpaca: [{ instruction: "a", input: "b", output: "c", system: "s", history: [["d", "e"]] }],
  text: [{ text: "a" }],
  "openai-preference": [
    { input: { messages: [asked], tools: [] }, preferred_output: [answered], non_preferred_output: [asked, answered] },
  ],
  preference: [
    { prompt: "a", chosen: "b", rejected: "c" },
    { chosen: [asked, answered], rejected: [asked, { role: "assistant", content: "c" }], ...extras },
  ],
  "prompt-only": [{ prompt: "a" }, { prompt: [asked], ...extras }],
};

const strange: readonly (() => unknown)[] = [
  ...[null, undefined, true, 0, -1, 1.5, 2 ** 53, 1e300, Number.NaN, 10n ** 30n, "", "a", "[", "[1]", "{}"].map(
    (value) => () => value,
  ),
  ...["\ud800", "\u0000\u001b[31m", "é\u{1f600}\u202e", "human", "assistant", "x".repeat(3000)].map(
    (value) => () => value,
  ),
  () => [],
  () => ({}),
  () => [[[[[[]]]]]],
  () => [null],
  () => JSON.parse('{"__proto__":{"role":"assistant"},"constructor":1,"toString":2}'),
  () => new Date(0),
  () => Symbol.iterator,
  () => () => 1,
  () => new Map([["a", 1]]),
  () => Object.create(null),
];

/** The same row with one to three things in it exchanged, taken out or doubled. */
function mutated(row: Fields, random: Random): Fields {
  const copy = structuredClone(row);
  for (let n = random(3); n >= 0; n -= 1) {
    let at: unknown = copy;
    // Goes some way into the row.
    for (;;) {
      const holder = at as Fields;
      const keys = Object.keys(holder);
      const key = keys.length === 0 ? "role" : pick(random, keys);
      const inner = holder[key];
      if (typeof inner === "object" && inner !== null && !(inner instanceof Map) && random(3) > 0) at = inner;
      else {
        change(holder, key, random);
        break;
      }
    }
  }
  return copy;
}

function change(holder: Fields, key: string, random: Random): void {
  const value = holder[key];
  const kind = random(4);
  if (kind === 0) delete holder[key];
  else if (kind === 1) holder[pick(random, ["role", "content", "from", "weight", "train", "\u001b]"])] = value;
  else if (kind === 2 && Array.isArray(holder)) holder.push(value);
  else holder[key] = pick(random, strange)();
}

/** What becomes of a row: an item, or the reason for which it is none. */
async function outcome(format: Format, fields: Fields, hasChatTemplate: boolean): Promise<string> {
  const { name, task = "supervised" } = format;
  const reader = new ItemReader({ datasetFormat: name, datasetTextField: "text", task, hasChatTemplate });
  try {
    const { kind, value } = await reader.read({ fields, source: "rows", line: 1, size: 0 });
    await kind.prompt(value, hasChatTemplate ? letterTokenizer : plainTokenizer).catch((error: unknown) => {
      if ((error as { code?: unknown }).code === undefined) throw error;
    });
    return "item";
  } catch (error) {
    if (error instanceof RowError) return error.message;
    throw error;
  }
}

test.each(formats.map((format) => [format.name, format] as const))(
  "a row of %s is an item or says in words what is wrong with it",
  async (name, format) => {
    const rows = whole[name] ?? [];
    for (const row of rows) expect(await outcome(format, row, true)).toBe("item");
    const random = randomly(name.length);
    let count = 0;
    const seen = { item: 0, refused: 0 };
    for (count of cases(6000)) {
      const message = await outcome(format, mutated(pick(random, rows), random), random(2) === 0);
      seen[message === "item" ? "item" : "refused"] += 1;
      if (message === "item") continue;
      const isGood = /^expected .*, got .*; \S/su.test(message) && terminalText(message) === message;
      if (!isGood || message.length > 2000)
        expect(message).toBe("a message in the form of all, short and without signs");
    }
    expect(Math.min(seen.item, seen.refused)).toBeGreaterThan(count / 20);
    tried(count, `${seen.refused} of ${name} refused`);
  },
  aDay,
);
