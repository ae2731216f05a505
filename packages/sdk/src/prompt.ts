// From a prompt as a program gives it to the ids that a model goes on from.
import { ArgumentError, type LanguageModel, type Message } from "@tunesmith/core";
import { beyondEmbedding, checkedMessages } from "@tunesmith/data";

/**
 * Ids of a prompt: a string is a user's turn where the model has a chat template, else plain text. What is no prompt, or leaves no
 * room for an answer in the model's context, is an `ArgumentError`.
 */
export async function encodePrompt(model: LanguageModel, prompt: string | readonly Message[]): Promise<Int32Array> {
  const { info, tokenizer } = model;
  const messages = messagesOf(prompt);
  const hasTemplate = tokenizer.info.chatTemplate !== null;
  if (typeof prompt !== "string" && !hasTemplate)
    throw new ArgumentError(
      "[generate] expected a string, got messages, but this model has no chat template; give plain text",
    );
  const [ids] = hasTemplate
    ? (await tokenizer.encodeConversations([{ messages }], { addGenerationPrompt: true })).map((encoded) => encoded.ids)
    : await tokenizer.encodeTexts([prompt as string]);
  if (ids === undefined || ids.length === 0)
    throw new ArgumentError("[generate] expected a prompt, got an empty one; give at least one token");
  const beyond = beyondEmbedding(ids, info.vocabSize, tokenizer);
  if (beyond !== null) throw new ArgumentError(`[generate] ${beyond}`);
  const context = info.maxPositionEmbeddings;
  if (ids.length >= context)
    throw new ArgumentError(
      `[generate] expected a prompt of fewer tokens than the model's context of ${context}, got ${ids.length}; shorten it`,
    );
  return ids;
}

/** From JavaScript anything may come. */
function messagesOf(prompt: unknown): Message[] {
  if (typeof prompt === "string") return [{ role: "user", content: prompt }];
  if (Array.isArray(prompt) && prompt.length > 0) return checkedMessages(prompt, "generate");
  const got = Array.isArray(prompt) ? "an empty list" : prompt === null ? "null" : typeof prompt;
  throw new ArgumentError(`[generate] expected a string or a list of messages, got ${got}; give one`);
}
