// Whether a chat template that was given fits the vocabulary.
import { TemplateError, type Tokenizer } from "@tunesmith/core";

/** Stands for the text of an answer. */
const answer = "ANSWER";

/** What looks like a token: `<end_of_turn>`, `</s>`, `<|im_end|>`, `[/INST]`. */
const tokenLike = /^(?:<[^\s<>]+>|\[[^\s[\]]+\])/u;

/**
 * Refuses a template whose turns are closed by a token that the vocabulary does not have: it would be learned letter by letter, and
 * nothing would end a generation.
 */
export async function requireTokens(tokenizer: Tokenizer): Promise<void> {
  const written = tokenizer.render({
    messages: [
      { role: "user", content: "QUESTION" },
      { role: "assistant", content: answer },
    ],
  });
  const after = written.slice(written.lastIndexOf(answer) + answer.length).trimStart();
  const [token] = tokenLike.exec(after) ?? [];
  if (token === undefined) return;
  const [alone, without] = await tokenizer.encodeTexts([token, ""]);
  if ((alone?.length ?? 0) - (without?.length ?? 0) === 1) return;
  throw new TemplateError(
    `[chatTemplate] expected a template whose turns end in a token of this vocabulary, got ${JSON.stringify(token)}, which is several tokens here; use a template made for this model, or add the token to the tokenizer`,
  );
}
