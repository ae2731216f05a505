// The answers of a model as it was, or with an adapter.
import type { LanguageModel } from "tunesmith";
import { answerAll } from "./exact-match.ts";
import type { TicketRow } from "./tickets.ts";

/** The answers of the model as it was, or with the adapter that a run has saved. */
export async function answersWith(
  adapter: string | null,
  model: LanguageModel,
  rows: readonly TicketRow[],
): Promise<string[]> {
  const generator = await model.createGenerator({
    adapter: adapter === null ? null : { type: "saved", path: adapter },
  });
  try {
    return await answerAll(rows, model.tokenizer, generator);
  } finally {
    generator.dispose();
  }
}
