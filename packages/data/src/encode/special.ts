// What training must not do with special tokens: begin a sequence twice, or leave out the token that ends an answer.
import { DataError, type EncodedConversation, type Tokenizer } from "@tunesmith/core";

/** Refuses a text that begins with the beginning-of-sequence token where the tokenizer adds one. */
export function refuseDoubleBos(ids: Int32Array, { info: { bosToken } }: Tokenizer): void {
  if (bosToken === null || ids[0] !== bosToken.id || ids[1] !== bosToken.id) return;
  throw new DataError(
    `[text] expected one ${bosToken.content} at the start, got two: the tokenizer adds one where a text begins with it; remove it from the text`,
  );
}

/**
 * The special token right after the last answer, where that is trained without it: a model that never saw its own end does not stop.
 * Null where the answer ends in a special token, or nothing special follows.
 */
export function untrainedEnd({ ids, spans }: EncodedConversation, tokenizer: Tokenizer): string | null {
  const end = spans.at(-1);
  const next = end === undefined ? undefined : ids[end];
  if (end === undefined || next === undefined) return null;
  return isSpecial(ids[end - 1] as number, tokenizer) ? null : specialText(next, tokenizer);
}

const known = new WeakMap<Tokenizer, Map<number, string | null>>();

/** Whether a token is a special one. */
export function isSpecial(id: number, tokenizer: Tokenizer): boolean {
  return specialText(id, tokenizer) !== null;
}

/** The text of a special token; null for any other. Asked of the tokenizer once for each id. */
function specialText(id: number, tokenizer: Tokenizer): string | null {
  const texts = known.get(tokenizer) ?? new Map<number, string | null>();
  known.set(tokenizer, texts);
  let text = texts.get(id);
  if (text === undefined) {
    const ids = Int32Array.of(id);
    const whole = tokenizer.decode(ids, { skipSpecialTokens: false });
    text = whole !== "" && tokenizer.decode(ids) === "" ? whole : null;
    texts.set(id, text);
  }
  return text;
}
