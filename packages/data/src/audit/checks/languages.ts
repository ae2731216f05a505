// Rows in another language than most, and texts that mix scripts.
import { type AuditRow, answersOf, saidIn } from "../audit-row.ts";
import type { Check } from "../finding.ts";
import { flatMapInSlices } from "../in-slices.ts";
import { languageOf, scriptOf, wordOfTwoScripts } from "../language.ts";

/** Rows in another language than most. */
export const mixedLanguages: Check = {
  code: "mixed-languages",
  severity: "note",
  remedy:
    "keep one language, or see that each has enough rows of its own; a few rows in another make the model change language at random",
  isRemoved: false,
  async find({ rows }) {
    const named = await flatMapInSlices(rows, (row) => {
      const language = languageOf(saidIn(row));
      return language === null ? [] : [{ row, language }];
    });
    const counts = new Map<string, number>();
    for (const { language } of named) counts.set(language, (counts.get(language) ?? 0) + 1);
    const shares = [...counts].sort((a, b) => b[1] - a[1]);
    const [[most] = [""]] = shares;
    const others = named.filter(({ language }) => language !== most);
    const message = `rows in several languages: ${shares.map(([name, count]) => `${count} ${name}`).join(", ")}`;
    return { message, rows: others.map(({ row, language }) => ({ row, detail: language })) };
  },
};

/** Texts that mix scripts: inside a word, or between a question and its answer. */
export const mixedScripts: Check = {
  code: "mixed-scripts",
  severity: "warning",
  remedy:
    "correct these texts: letters of another script that look alike are other tokens, and an answer in another script is rarely meant",
  isRemoved: false,
  async find({ rows }) {
    const found = await flatMapInSlices(rows, (row) => {
      const detail = mixture(row);
      return detail === null ? [] : [{ row, detail }];
    });
    return { message: "texts that mix scripts", rows: found };
  },
};

function mixture(row: AuditRow): string | null {
  const word = row.turns.map(({ text }) => wordOfTwoScripts(text)).find((found) => found !== null);
  if (word !== undefined && word !== null) return `letters of two scripts in ${JSON.stringify(word)}`;
  const asked = row.turns
    .filter(({ role }) => role === "user")
    .map(({ text }) => text)
    .join("\n");
  const [question, answer] = [scriptOf(asked), scriptOf(answersOf(row).join("\n"))];
  if (question === null || answer === null || question === answer) return null;
  // Who asks for a translation names the language.
  const isAsked = /translat|übersetz|tradu|переве|翻译|翻訳|번역|\bin(?:to)? [A-Z]\p{L}+/u.test(asked);
  return isAsked ? null : `asked in ${question}, answered in ${answer}`;
}
