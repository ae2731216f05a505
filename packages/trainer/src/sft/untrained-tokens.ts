// Tokens of rows that the model was never trained with.
import type { Tokenizer } from "@tunesmith/core";
import type { Example } from "@tunesmith/data";

/** Tokens that are named in one warning. */
const named = 5;

/**
 * Tells of each such token once, when its first row is trained on: what stands for nothing in the embedding says nothing to the model, as
 * where a base model is given the chat template of another one.
 */
export class UntrainedTokens {
  readonly #tokenizer: Tokenizer;
  readonly #told = new Set<number>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** @param untrained tokens whose rows of the embedding hold nothing, and stay so */
  warnings(untrained: readonly number[], microBatches: readonly (readonly Example[])[]): string[] {
    const left = new Set(untrained.filter((id) => !this.#told.has(id)));
    if (left.size === 0) return [];
    const found = new Set<number>();
    for (const { ids } of microBatches.flat()) for (const id of ids) if (left.has(id)) found.add(id);
    for (const id of found) this.#told.add(id);
    if (found.size === 0) return [];
    const list = [...found].slice(0, named).map((id) => `${this.#text(id)} (${id})`);
    const more = found.size > named ? ` and ${found.size - named} more` : "";
    return [
      `the rows hold tokens that the model was never trained with, whose embedding is nothing: ${list.join(", ")}${more}; train them with modulesToSave: ["embed_tokens"], or use a chat template of tokens that the model knows`,
    ];
  }

  #text(id: number): string {
    return JSON.stringify(this.#tokenizer.decode(Int32Array.of(id), { skipSpecialTokens: false }));
  }
}
