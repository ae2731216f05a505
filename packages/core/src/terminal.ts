// Makes text from files, rows and models safe to show on a terminal.
import { emitWarning } from "node:process";

/**
 * What changes how a terminal shows or does things: control characters of C0 and C1 (the escape character among them) but for
 * tab and line feed, marks of writing direction, separators of lines and paragraphs, and halves of surrogate pairs.
 */
const unsafe = /(?![\t\n])[\p{Cc}\p{Bidi_Control}\p{Surrogate}\u2028\u2029]/gu;

/**
 * The text with every character that would change a terminal written as JSON escapes it, `\u001b` for the escape character: all
 * that a stranger could have put into a row, a column's name, a template or a file's name passes here before it is shown. JSON
 * text stays JSON of the same value.
 */
export function terminalText(text: string): string {
  return text.replaceAll(unsafe, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** `process.emitWarning` with a message that is safe to show. */
export function warnProcess(message: string): void {
  emitWarning(terminalText(message));
}
