// A chat template as Ollama's, which is Go's template language: found by rendering conversations, and taken only where other
// conversations come out the same to the letter.
import type { Conversation, Tokenizer } from "@tunesmith/core";

/** What stands around the turns of a conversation. */
interface Pieces {
  /** Before the first turn of a conversation without a system message, such as a default system message. */
  opening: string;
  system: [string, string];
  user: [string, string];
  assistant: [string, string];
  /** Where the answer begins. */
  prompt: string;
}

type Role = "system" | "user" | "assistant";

/** Texts that no template writes by itself. */
const marks = { system: "Qsystemq", user: "Quserq", assistant: "Qanswerq", next: "Qnextq" };

const conversation = (...turns: [Role, string][]): Conversation => ({
  messages: turns.map(([role, content]) => ({ role, content })),
});

/** Conversations that must come out the same: more turns than the pieces are found by, and other texts. */
const trials: [Role, string][][] = [
  [["user", "a b"]],
  [
    ["system", "Be short."],
    ["user", "one\ntwo"],
  ],
  [
    ["user", "one"],
    ["assistant", "two."],
    ["user", "three"],
  ],
  [
    ["system", "Be short."],
    ["user", "one"],
    ["assistant", "two"],
    ["user", "three"],
    ["assistant", "four"],
    ["user", "five"],
  ],
];

/**
 * The text of `TEMPLATE`, or null where the chat template does more than put texts around turns, or there is none. The first token
 * of a text is left out: Ollama adds it by itself.
 */
export function ollamaTemplate(tokenizer: Tokenizer): string | null {
  if (tokenizer.info.chatTemplate === null) return null;
  const plain = (turns: [Role, string][], addGenerationPrompt: boolean) =>
    tokenizer.render(conversation(...turns), { addGenerationPrompt });
  const first = tokenizer.info.bosToken?.content ?? "";
  try {
    // Where it begins every turn, as in ChatML, it belongs to the turns.
    const begins = first !== "" && plain(trials[2] ?? [], true).split(first).length === 2;
    const render: typeof plain = (turns, prompt) => {
      const text = plain(turns, prompt);
      return begins && text.startsWith(first) ? text.slice(first.length) : text;
    };
    const pieces = piecesOf(render);
    if (pieces === null || !writable(pieces)) return null;
    return trials.every((turns) => render(turns, true) === written(pieces, turns)) ? goTemplate(pieces) : null;
  } catch {
    // A template refuses what it is not made for, such as a system message.
    return null;
  }
}

function piecesOf(render: (turns: [Role, string][], prompt: boolean) => string): Pieces | null {
  const asked: [Role, string][] = [["user", marks.user]];
  const answered: [Role, string][] = [...asked, ["assistant", marks.assistant]];
  const twice = split(render([...answered, ["user", marks.next]], false), [marks.user, marks.assistant, marks.next]);
  const once = split(render(answered, false), [marks.user, marks.assistant]);
  const headed = split(render([["system", marks.system], ...answered], false), [marks.system, marks.user]);
  const prompted = split(render(asked, true), [marks.user])?.[1];
  if (twice === null || once === null || headed === null || prompted === undefined) return null;
  const [opened = "", between = "", again = "", end = ""] = twice;
  const after = once[2] ?? "";
  if (!again.startsWith(after) || !between.startsWith(end) || !prompted.startsWith(end)) return null;
  const before = again.slice(after.length);
  if (!opened.endsWith(before) || !(headed[1] ?? "").endsWith(before)) return null;
  return {
    opening: opened.slice(0, opened.length - before.length),
    system: [headed[0] ?? "", (headed[1] ?? "").slice(0, (headed[1] ?? "").length - before.length)],
    user: [before, end],
    assistant: [between.slice(end.length), after],
    prompt: prompted.slice(end.length),
  };
}

/** The parts of a text around marks that stand in it in order; null where one does not. */
function split(text: string, around: readonly string[]): string[] | null {
  const parts: string[] = [];
  let rest = text;
  for (const mark of around) {
    const at = rest.indexOf(mark);
    if (at === -1) return null;
    parts.push(rest.slice(0, at));
    rest = rest.slice(at + mark.length);
  }
  return [...parts, rest];
}

/** The prompt that Ollama makes of the pieces. */
function written(pieces: Pieces, turns: readonly [Role, string][]): string {
  const opening = turns[0]?.[0] === "system" ? "" : pieces.opening;
  return opening + turns.map(([role, text]) => pieces[role].join(text)).join("") + pieces.prompt;
}

/** Neither the language of the template nor the quotes of a Modelfile stand in the pieces. */
function writable({ opening, system, user, assistant, prompt }: Pieces): boolean {
  const text = [opening, ...system, ...user, ...assistant, prompt].join("\n");
  return !/\{\{|\}\}|"""/u.test(text);
}

function goTemplate({ opening, system, user, assistant, prompt }: Pieces): string {
  const turn = (pieces: readonly string[]) => pieces.join("{{ .Content }}");
  const first = opening === "" ? "" : `{{ if ne (index .Messages 0).Role "system" }}${opening}{{ end }}`;
  return (
    `${first}{{ range .Messages }}{{ if eq .Role "system" }}${turn(system)}` +
    `{{ else if eq .Role "user" }}${turn(user)}{{ else if eq .Role "assistant" }}${turn(assistant)}{{ end }}{{ end }}${prompt}`
  );
}
