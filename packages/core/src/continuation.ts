// The text of an answer as its tokens come, up to the first of some texts that end it.
import type { TokenEvent } from "./generate.ts";
import { TextStream } from "./text-stream.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Where the first of some texts that end a continuation stands in it, at `from` or after; null where none does. */
export function firstStop(text: string, stop: readonly string[], from = 0): number | null {
  const ends = stop.map((end) => text.indexOf(end, from)).filter((at) => at !== -1);
  return ends.length === 0 ? null : Math.min(...ends);
}

/** A text as it comes. */
export class Continuation {
  text = "";
  finishReason: TokenEvent["finishReason"] = null;
  readonly #stream: TextStream;
  readonly #stop: readonly string[];
  readonly #longest: number;

  constructor(tokenizer: Tokenizer, stop: readonly string[]) {
    this.#stream = new TextStream(tokenizer);
    this.#stop = stop;
    this.#longest = Math.max(0, ...stop.map(({ length }) => length));
  }

  /** Takes a token in; true when it is the one that ends the text. */
  add({ tokenId, finishReason }: Pick<TokenEvent, "tokenId" | "finishReason">): boolean {
    if (this.finishReason !== null) return false;
    // A stop that is not there yet may have begun before this token.
    const from = Math.max(0, this.text.length - this.#longest + 1);
    // The token that ends a turn is no text.
    if (finishReason !== "stop") this.text += this.#stream.push(tokenId);
    if (finishReason !== null) this.text += this.#stream.end();
    const end = firstStop(this.text, this.#stop, from);
    if (end !== null) this.text = this.text.slice(0, end);
    this.finishReason = end === null ? finishReason : "stop";
    return this.finishReason !== null;
  }
}
