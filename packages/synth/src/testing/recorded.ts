// A generator that plays recorded replies back: `recorded.jsonl` has for every instruction whether it has labels, and its instances.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { GenerateFunction } from "../generate/generate.ts";

interface Recording {
  instruction: string;
  labels: boolean;
  reply: string;
  cut?: boolean;
}

const recordings = readFileSync(join(import.meta.dirname, "recorded.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Recording);

/** Instructions of a reply. */
const together = 6;

const byInstruction = new Map(recordings.map((recording) => [recording.instruction, recording]));

/**
 * Plays the recording back. What a prompt gets depends on the prompt and the seed of its batch alone, as of a generator that is asked
 * again after an interruption.
 */
export const recordedGenerator: GenerateFunction = (prompts, { step, seed }) =>
  prompts.map((prompt, n) => {
    if (step === "instructions") return instructions(prompt, seed + n);
    const asked = /Task: ([^\n]*)\n[^\n]*$/u.exec(prompt)?.[1] ?? "";
    const { labels, reply, cut = false } = byInstruction.get(asked) ?? { labels: false, reply: "" };
    if (step === "classification") return labels ? " Yes" : " no";
    return { text: reply, finishReason: cut ? "length" : "stop" };
  });

/** A numbered list that goes on where the prompt ends; now and then one is cut. */
function instructions(prompt: string, seed: number): { text: string; finishReason: "stop" | "length" } {
  const first = Number(/(\d+)\.$/u.exec(prompt)?.[1]);
  const groups = Math.ceil(recordings.length / together);
  const start = (seed % groups) * together;
  const items = recordings.slice(start, start + together).map(({ instruction }) => instruction);
  const text = items.map((item, n) => (n === 0 ? ` ${item}` : `${first + n}. ${item}`)).join("\n");
  return { text, finishReason: seed % 11 === 0 ? "length" : "stop" };
}
