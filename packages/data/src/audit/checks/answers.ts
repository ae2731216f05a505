// Answers that are empty, or end before their end.
import { answersOf } from "../audit-row.ts";
import type { Check } from "../finding.ts";
import { filterInSlices, flatMapInSlices } from "../in-slices.ts";

/** Answers without a word: nothing, white space, or what an export puts where nothing was. */
export const emptyAnswer: Check = {
  code: "empty-answer",
  severity: "error",
  remedy: "write these answers or remove the rows; an empty answer teaches the model to end at once",
  isRemoved: true,
  async find({ rows }) {
    const found = await flatMapInSlices(rows, (row) => {
      const empty = answersOf(row).find((answer) => isEmpty(answer));
      return empty === undefined
        ? []
        : [{ row, detail: empty.trim() === "" ? "an empty answer" : `only ${JSON.stringify(empty.trim())}` }];
    });
    return { message: "answers that say nothing", rows: found };
  },
};

const placeholder =
  /^[[(<{]?(?:n\/a|null|nan|undefined|todo|tbd|empty|blank|placeholder|answer|response|insert .{0,30} here)[\])>}]?[.:]?$/iu;

function isEmpty(answer: string): boolean {
  const text = answer.trim();
  return (
    /^[\p{C}\p{Z}.…_\-–—]*$/u.test(text) ||
    (placeholder.test(text) && !/^(?:empty|blank|answer|response)$/iu.test(text))
  );
}

/** Answers that break off. */
export const cutAnswer: Check = {
  code: "cut-answer",
  severity: "warning",
  remedy:
    "complete these answers or remove them: check the length limit they were generated with, and how their end of sequence was handled; cut answers teach truncated outputs",
  isRemoved: true,
  async find({ rows }) {
    const answers = await flatMapInSlices(rows, (row) =>
      answersOf(row).map((answer) => ({ row, answer: answer.trim() })),
    );
    const isUnusual = await unusualEnds(answers.map(({ answer }) => answer));
    const found = await flatMapInSlices(answers, ({ row, answer }) => {
      const reason = cutAt(answer) ?? (isUnusual(answer) ? "no end of its last sentence" : null);
      return reason === null ? [] : [{ row, detail: `${reason}: ${JSON.stringify(`…${answer.slice(-40)}`)}` }];
    });
    return { message: "answers that break off", rows: found };
  },
};

/**
 * Kinds of answers, how many there must be to tell how they end, and the share of them that may end otherwise than sentences do before
 * that is no sign of a cut; one or two may in any case, since these may be the very ones that were cut.
 */
const sentences: readonly { isOfKind: (answer: string) => boolean; least: number; share: number }[] = [
  { isOfKind: isProse, least: 5, share: 0.2 },
  { isOfKind: (answer) => isParagraph(answer) && answer.split(/\s+/u).length >= 8, least: 10, share: 0.03 },
];

/** Tells answers that end otherwise than those of their kind mostly do. */
async function unusualEnds(answers: readonly string[]): Promise<(answer: string) => boolean> {
  const usual: (typeof sentences)[number][] = [];
  for (const kind of sentences) {
    const alike = await filterInSlices(answers, kind.isOfKind);
    const open = (await filterInSlices(alike, (answer) => !endsSentence(answer))).length;
    if (alike.length >= kind.least && open <= Math.max(kind.least / 5, kind.share * alike.length)) usual.push(kind);
  }
  return (answer) => !endsSentence(answer) && usual.some(({ isOfKind }) => isOfKind(answer));
}

/** Words that no English sentence ends with. */
const hanging =
  /\s(?:the|an|and|or|but|of|because|which|their|our|your|its|than|as|from|into|with a|to the|is a|such)$/iu;

function cutAt(answer: string): string | null {
  if ((answer.match(/^\s*```/gmu)?.length ?? 0) % 2 === 1) return "a block of code is not closed";
  if (isJsonStart(answer)) return "its JSON is not closed";
  if (answer.includes(" ") && /[,(\-–]$/u.test(answer) && !/```|[{}]/u.test(answer)) return "its last sentence goes on";
  return answer.split(/\s+/u).length >= 5 && hanging.test(answer) ? "its last sentence goes on" : null;
}

function isJsonStart(answer: string): boolean {
  if (!/^[[{]\s*["{[]/u.test(answer)) return false;
  const outside = answer.replaceAll(/"(?:[^"\\]|\\.)*"/gu, "");
  const count = (signs: RegExp) => outside.match(signs)?.length ?? 0;
  return count(/[[{]/gu) > count(/[\]}]/gu);
}

/** At least two sentences in one paragraph at its end. */
function isProse(answer: string): boolean {
  return isParagraph(answer) && /\p{L}{2,}[.!?。！？]["')\]”]?\s+\S|[。！？]\S/u.test(answer);
}

/** Words that the last line of a paragraph has at least: a name under a letter has fewer. */
const fewWords = 6;

/** Whether an answer ends in text rather than a list, a table or code. */
function isParagraph(answer: string): boolean {
  const last = answer.split("\n").at(-1) ?? "";
  if (/^[\p{ASCII}]*$/u.test(last) && last.split(/\s+/u).length < fewWords) return false;
  return !answer.includes("```") && !/^\s*(?:[-*•|#>]|\d+[.)])/u.test(last);
}

function endsSentence(answer: string): boolean {
  return /[.!?…。！？।؟:](?:["'”’»)\]*_`]|\p{Extended_Pictographic})*$|\p{Extended_Pictographic}\uFE0F?$|[`"'”)\]|>}]$|https?:\S+$|\d$/u.test(
    answer,
  );
}
