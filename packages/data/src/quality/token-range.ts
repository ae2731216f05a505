// Tokens that a tokenizer has and the model's embedding does not: training on one would fail in its first pass.
import type { Tokenizer } from "@tunesmith/core";

/** What is wrong with ids of which the embedding lacks a row, naming the first such token; null where it has them all. */
export function beyondEmbedding(ids: Int32Array, vocabSize: number, tokenizer: Tokenizer): string | null {
  const id = ids.find((token) => token >= vocabSize);
  if (id === undefined) return null;
  const token = tokenizer.decode(Int32Array.of(id), { skipSpecialTokens: false });
  return `expected tokens below ${vocabSize}, the rows of the model's embedding, got ${JSON.stringify(token)} with the id ${id}; take a model whose embedding has it, or leave it out`;
}
