// Training on answers only: which options ask for it, and whether the parts that are given are those of the chat template.
import { OptionError, type OptionKeys, type ParsedSFTConfig, type Tokenizer } from "@tunesmith/core";

/** Options of {@link trainOnResponsesOnly} (names of Unsloth's train_on_responses_only). */
export interface ResponsesOnlyOptions {
  /** What the chat template writes before a user's turn, such as `<|im_start|>user\n`. Default: not checked. */
  instructionPart?: string;
  /** What it writes before an answer. Default: not checked. Both parts are given, or neither. */
  responsePart?: string;
  /** Train on the last answer of a conversation only. Default false. */
  lastResponseOnly?: boolean;
}

/** Its names. */
export const responsesOnlyKeys: OptionKeys<ResponsesOnlyOptions> = {
  instructionPart: "optional",
  responsePart: "optional",
  lastResponseOnly: "optional",
};

/** A trainer that can be told to train on answers only. */
export interface ResponsesTrainer {
  onResponsesOnly(options: ResponsesOnlyOptions): void;
}

/**
 * Trains on the assistant's answers only (Unsloth's train_on_responses_only), and gives the trainer back. Which tokens these are comes
 * from the renderer of the chat template, so the parts are needed for nothing: where they are given they are checked, and an
 * `OptionError` shows what the template writes. Rows of plain text, in which no answer is told apart, are refused when the run starts.
 */
export function trainOnResponsesOnly<T extends ResponsesTrainer>(trainer: T, options: ResponsesOnlyOptions = {}): T {
  trainer.onResponsesOnly(options);
  return trainer;
}

type Checked = Pick<
  ParsedSFTConfig,
  | "trainOnResponsesOnly"
  | "lastResponseOnly"
  | "instructionPart"
  | "responsePart"
  | "assistantOnlyLoss"
  | "completionOnlyLoss"
>;

/** Refuses options that contradict training on answers only, and parts that the chat template does not write. */
export function checkResponses(options: Checked, tokenizer: Tokenizer): void {
  const { trainOnResponsesOnly: only, lastResponseOnly, instructionPart, responsePart } = options;
  const asked = only ? "trainOnResponsesOnly" : lastResponseOnly ? "lastResponseOnly" : null;
  if (asked !== null) {
    for (const name of ["assistantOnlyLoss", "completionOnlyLoss"] as const)
      if (options[name] === false)
        throw new OptionError(`[${name}] expected true with ${asked}, got false; leave one of them out`);
  }
  if (instructionPart === null && responsePart === null) return;
  if (instructionPart === null || responsePart === null) {
    const missing = instructionPart === null ? "instructionPart" : "responsePart";
    throw new OptionError(
      `[${missing}] expected both instructionPart and responsePart, or neither, got one; give ${missing} too, or leave both out: labels need neither`,
    );
  }
  checkParts({ instructionPart, responsePart }, tokenizer);
}

/** What cannot be taken for a part. */
const [question, answer] = ["QUESTION", "ANSWER"];

const questionTurn = { role: "user", content: question } as const;
const answerTurn = { role: "assistant", content: answer } as const;

/** The template must write each part right before the text of its turn, but for white space. */
function checkParts(parts: { instructionPart: string; responsePart: string }, tokenizer: Tokenizer): void {
  if (tokenizer.info.chatTemplate === null)
    throw new OptionError(
      "[instructionPart] expected a model with a chat template to check it against, got none; leave both parts out, or give chatTemplate",
    );
  const written = tokenizer.render({ messages: [questionTurn, answerTurn] });
  const [asks, answers] = [written.indexOf(question), written.lastIndexOf(answer)];
  const found = {
    instructionPart: written.slice(0, asks).includes(parts.instructionPart),
    responsePart: written.slice(asks + question.length, answers).includes(parts.responsePart),
  };
  const meant = found.instructionPart && found.responsePart ? null : partsOf(tokenizer);
  for (const name of ["instructionPart", "responsePart"] as const) {
    if (found[name]) continue;
    const value = meant?.[name] ?? "";
    const before = written.slice(0, name === "instructionPart" ? asks : answers);
    const advice =
      value !== "" && before.endsWith(value) ? `did you mean ${JSON.stringify(value)}? Or` : "correct the parts, or";
    const turn = name === "instructionPart" ? question : answer;
    throw new OptionError(
      `[${name}] expected what the chat template writes before ${turn}, got ${JSON.stringify(parts[name])}; it writes ${JSON.stringify(written)}: ${advice} leave both out, since labels need neither`,
    );
  }
}

/** What the template writes before a question and before an answer, without the end of the turn before; null where it writes no second turn. */
function partsOf(tokenizer: Tokenizer): Record<"instructionPart" | "responsePart", string> | null {
  const [before, afterQuestion = "", afterAnswer = "", ...rest] = tokenizer
    .render({ messages: [questionTurn, answerTurn, questionTurn, answerTurn] })
    .split(/QUESTION|ANSWER/u);
  const end = rest.at(-1);
  if (before === undefined || end === undefined || rest.length !== 2) return null;
  return { instructionPart: withoutStart(afterAnswer, end), responsePart: withoutStart(afterQuestion, end) };
}

/** A text without what it begins with as another one does. */
function withoutStart(text: string, other: string): string {
  let common = 0;
  while (common < text.length && text[common] === other[common]) common += 1;
  return text.slice(common);
}
