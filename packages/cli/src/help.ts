// How help is laid out: flags of a group below each other, descriptions wrapped between words at the terminal's width.
import type { HelpConfiguration } from "commander";

/** Columns of flags at most; a longer one has its description on the lines below. */
const widestTerm = 32;
/** Below this every description has the lines below its flag. */
const narrowTerminal = 72;
/** Columns of a description at least, however narrow the terminal is. */
const narrowest = 24;

/** Layout of the help of every command. */
export const helpLayout: HelpConfiguration = {
  // What a flag without a value means is clear from its description.
  optionDescription: ({ description }) => description,
  padWidth: (_, { helpWidth = 80 }) => (helpWidth < narrowTerminal ? 0 : widestTerm),
  formatItem(term, termWidth, description, { helpWidth = 80 }) {
    const indent = " ".repeat(termWidth + 4);
    const lines = wrap(description, Math.max(narrowest, helpWidth - indent.length));
    const [first = "", ...rest] = term.length <= termWidth ? lines : ["", ...lines];
    const terms = wrapChoices(term, helpWidth - 2).map((line) => `  ${line}`);
    const head = term.length <= termWidth ? `  ${term.padEnd(termWidth)}  ${first}`.trimEnd() : terms.join("\n");
    return [head, ...rest.map((line) => `${indent}${line}`)].join("\n");
  },
};

/** Lines of at most so many characters, broken between words; a word that is longer has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/u).filter(Boolean)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** A flag whose choices are too many for a line, broken between them. */
function wrapChoices(term: string, width: number): string[] {
  const lines = [""];
  for (const part of term.split(/(?<=[|\s])/u)) {
    const last = lines.at(-1) as string;
    if (last === "" || last.length + part.trimEnd().length <= width) lines[lines.length - 1] = last + part;
    else lines.push(`    ${part}`);
  }
  return lines.map((line) => line.trimEnd());
}

/** Command lines to copy, for the end of a command's help. */
export function examples(...commands: readonly string[]): string {
  return ["", "Examples:", ...commands.map((command) => `  ${command}`)].join("\n");
}
