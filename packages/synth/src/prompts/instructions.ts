// The prompt that asks for more instructions.

const opening =
  "This is a list of tasks, each of another kind. Every task is one instruction that can be followed with text alone:";

/** Items that a reply should have before it ends. */
const wanted = 8;

/** A numbered list of instructions that is to be continued. */
export function instructionPrompt(examples: readonly string[]): string {
  const items = examples.map((text, n) => `${n + 1}. ${inOneLine(text)}`);
  return [opening, "", ...items, `${examples.length + 1}.`].join("\n");
}

/** What ends a reply: a blank line, or the item after those that are wanted. */
export function instructionStop(examples: number): string[] {
  return ["\n\n", `\n${examples + wanted}.`, `\n${examples + wanted} `];
}

/** An instruction in one line, without the colon that leads to an input. */
export function inOneLine(text: string): string {
  return text.replaceAll(/\s+/gu, " ").trim().replace(/:+$/u, "");
}
