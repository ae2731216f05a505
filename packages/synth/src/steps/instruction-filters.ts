// From a reply with a numbered list to candidates, and which of them the filters drop.
import type { ParsedSelfInstructConfig, SelfInstructFilter } from "@tunesmith/core";
import type { Filters } from "../filters.ts";
import type { Reply } from "../generate/generate.ts";

/** The instructions of a reply that goes on with a numbered list, each in one line and with a capital at its start. */
export function candidatesOf({ text }: Reply): string[] {
  return text
    .split(/(?:^|\n)\s*\d+\s?[.)](?:\s+|$)/u)
    .map((part) => part.replaceAll(/\s+/gu, " ").trim())
    .filter((part) => part !== "")
    .map((part) => `${(part[0] as string).toUpperCase()}${part.slice(1)}`);
}

/** The filters that look at one instruction alone. */
const alone: readonly [SelfInstructFilter, (instruction: string, blocked: RegExp | null) => boolean][] = [
  ["too-short", (instruction) => words(instruction) <= 3],
  ["too-long", (instruction) => words(instruction) > 150],
  ["blocklist", (instruction, blocked) => blocked?.test(instruction) ?? false],
  ["write-a-program", (instruction) => /^write a program/iu.test(instruction)],
  ["leading-punctuation", (instruction) => /^[!-/:-@[-`{-~]/u.test(instruction)],
  ["leading-non-ascii", (instruction) => (instruction.codePointAt(0) ?? 0) > 127],
];

function words(text: string): number {
  return text.split(" ").length;
}

/** The words and phrases as one pattern; null for none. */
export function blockedWords(blocklist: ParsedSelfInstructConfig["blocklist"]): RegExp | null {
  const phrases = blocklist.map((phrase) => phrase.trim().replaceAll(/[$()*+.?[\\\]^{|}]/gu, "\\$&"));
  return phrases.length === 0
    ? null
    : new RegExp(`(?<![\\p{L}\\p{N}_])(?:${phrases.join("|")})(?![\\p{L}\\p{N}_])`, "iu");
}

/** The first filter that drops an instruction for what it is, similarity apart; null where none does. */
export function droppedAlone(instruction: string, filters: Filters, blocked: RegExp | null): SelfInstructFilter | null {
  return alone.find(([name, applies]) => filters.drops(name, applies(instruction, blocked)))?.[0] ?? null;
}
