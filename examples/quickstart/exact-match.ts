// Answers the quickstart's messages and counts the exactly right ones.
import { isDeepStrictEqual } from "node:util";
import type { Generator, Tokenizer } from "tunesmith";
import { systemMessage } from "./data-files.ts";
import type { Ticket, TicketRow } from "./tickets.ts";

/** Messages answered together: the weights are read once for all of them. */
const batchSize = 32;
/** A few more tokens than the longest right answer has. */
const maxNewTokens = 48;

/** The model's greedy answers to the messages of some rows. */
export async function answerAll(
  rows: readonly TicketRow[],
  tokenizer: Tokenizer,
  generator: Generator,
): Promise<string[]> {
  const conversations = rows.map(({ message }) => ({
    messages: [
      { role: "system", content: systemMessage },
      { role: "user", content: message },
    ],
  }));
  const encoded = await tokenizer.encodeConversations(conversations, { addGenerationPrompt: true });
  const answers: number[][] = rows.map(() => []);
  for (let first = 0; first < rows.length; first += batchSize) {
    const prompts = encoded.slice(first, first + batchSize).map(({ ids }) => ids);
    for await (const { index, tokenId } of generator.generate({ prompts, maxNewTokens }))
      answers[first + index]?.push(tokenId);
  }
  return answers.map((ids) => tokenizer.decode(Int32Array.from(ids)));
}

/** Whether an answer is JSON with exactly the keys and values of the ticket, and nothing around it. */
export function isExact(answer: string, ticket: Ticket): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(answer), ticket);
  } catch {
    return false;
  }
}

/** Share of answers that are exact. */
export function exactShare(answers: readonly string[], rows: readonly TicketRow[]): number {
  return rows.filter(({ ticket }, index) => isExact(answers[index] ?? "", ticket)).length / rows.length;
}
