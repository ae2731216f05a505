// What a model says of held-out rows: their loss, and how many answers are exactly right.
import type { Generator, LanguageModel, Message, Tokenizer } from "@tunesmith/core";
import { coalesce, collate, type Example, type Placed } from "@tunesmith/data";
import type { TaskSet } from "./sets.ts";

/** What can be computed of a model that is loaded. */
type Session = Pick<Generator, "evaluate" | "generate">;

/** Tokens of a pass. */
export const passTokens = 1024;
/** Prompts that are answered together, and a few more tokens than an answer has. */
const [promptsTogether, maxNewTokens] = [32, 6];

/** Mean loss over all trained tokens of the held-out rows, in nats. */
export async function heldOutLoss(session: Session, { heldOut }: TaskSet): Promise<number> {
  const sum = { loss: 0, tokens: 0 };
  for (const placed of coalesce<Example>([heldOut], passTokens)) {
    const { lossSum, tokens } = await session.evaluate(collate(placed as Placed[]));
    for (const [place, count] of tokens.entries()) {
      sum.loss += lossSum[place] as number;
      sum.tokens += count;
    }
  }
  return sum.loss / sum.tokens;
}

/** Exactly right answers of one difficulty. */
export interface ExactCount {
  operations: number;
  rows: number;
  exact: number;
}

/**
 * Has a model carry on the conversations of a set, greedily and with its own answers as what was said before, and counts by difficulty how
 * often it comes to the right one; null where a set has no questions.
 */
export async function exactMatch(
  session: Session,
  { tokenizer }: LanguageModel,
  { questions }: TaskSet,
): Promise<ExactCount[] | null> {
  if (questions === null) return null;
  const talks = questions.map(({ system, turns, answer, operations }) => {
    return { said: [{ role: "system", content: system }], turns, answer, operations };
  });
  for (let round = 0; talks.some(({ turns }) => round < turns.length); round += 1) {
    const open = talks.filter(({ turns }) => round < turns.length);
    for (const { said, turns } of open) said.push({ role: "user", content: turns[round] ?? "" });
    for (let first = 0; first < open.length; first += promptsTogether) {
      const some = open.slice(first, first + promptsTogether);
      const answers = await answer(
        session,
        tokenizer,
        some.map(({ said }) => said),
      );
      for (const [place, { said }] of some.entries()) said.push({ role: "assistant", content: answers[place] ?? "" });
    }
  }
  const counts = new Map<number, ExactCount>();
  for (const { operations, answer, said } of talks) {
    const { rows, exact } = counts.get(operations) ?? { rows: 0, exact: 0 };
    const isExact = said.at(-1)?.content === answer;
    counts.set(operations, { operations, rows: rows + 1, exact: exact + (isExact ? 1 : 0) });
  }
  return [...counts.values()].sort((a, b) => a.operations - b.operations);
}

/** The next turn of each conversation, without the token that ends it. */
async function answer(session: Session, tokenizer: Tokenizer, conversations: readonly Message[][]): Promise<string[]> {
  const encoded = await tokenizer.encodeConversations(
    conversations.map((messages) => ({ messages })),
    { addGenerationPrompt: true },
  );
  const ids: number[][] = conversations.map(() => []);
  const prompts = encoded.map(({ ids }) => ids);
  for await (const { index, tokenId, finishReason } of session.generate({ prompts, maxNewTokens }))
    if (finishReason !== "stop") ids[index]?.push(tokenId);
  return ids.map((answer) => tokenizer.decode(Int32Array.from(answer)));
}
