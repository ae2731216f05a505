// Rows hold tokens that the model was never trained with.
import type { HealthRule } from "./rule.ts";

/** Tokens that are named. */
const named = 5;

/**
 * Tokens of rows whose embedding is nothing: they say nothing to the model, as where a base model is given the chat template of another
 * one. Each is told when its first row is trained on.
 */
export const untrainedTokens: HealthRule = {
  name: "untrained-tokens",
  check({ event, untrainedTokens: found }) {
    if (event !== "step" || found.length === 0) return null;
    const list = found.slice(0, named).map(({ id, text }) => `${JSON.stringify(text)} (${id})`);
    const more = found.length > named ? ` and ${found.length - named} more` : "";
    return {
      value: found.length,
      message: `the rows hold tokens that the model was never trained with, whose embedding is nothing: ${list.join(", ")}${more}`,
      remedy: 'train them with modulesToSave: ["embed_tokens"], or use a chat template of tokens that the model knows',
      about: found.map(({ id }) => id).join(" "),
    };
  },
};
