// Turns token ids into text piece by piece.
import type { Tokenizer } from "./tokenizer.ts";

/** Turns token ids into text piece by piece. A character that spans tokens is held back until it is whole. */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  /** Ids from the last safe place on; those before `#told` have been given out. */
  #ids: number[] = [];
  #told = 0;

  constructor(tokenizer: Tokenizer) {
    this.#decode = (ids) => tokenizer.decode(Int32Array.from(ids));
  }

  /** The text that a token completes; empty while it completes none. */
  push(tokenId: number): string {
    this.#ids.push(tokenId);
    return this.#flush(false);
  }

  /** The rest, as far as it is text. */
  end(): string {
    return this.#flush(true);
  }

  #flush(final: boolean): string {
    // Decoders may look at the neighbour before (leading spaces), so new text is the difference to the old with it.
    const before = this.#decode(this.#ids.slice(0, this.#told));
    const all = this.#decode(this.#ids);
    if (!final && all.endsWith("\ufffd")) return "";
    const text = all.slice(before.length);
    this.#ids = this.#ids.slice(this.#told);
    this.#told = this.#ids.length;
    return text;
  }
}
