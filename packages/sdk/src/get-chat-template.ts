// A model with another chat template, under Unsloth's name.
import { OptionError, type OptionKeys, parseKeys } from "@tunesmith/core";
import type { FastLanguageModel } from "./fast-language-model.ts";

/** What rows call the parts of a turn (Unsloth's mapping). */
export interface TurnMapping {
  /** Field of the role. Default `role`. */
  role?: string;
  /** Field of the text. Default `content`. */
  content?: string;
  /** The user's role. Default `user`. */
  user?: string;
  /** The assistant's role. Default `assistant`. */
  assistant?: string;
}

/** Options of {@link getChatTemplate}. */
export interface ChatTemplateOptions {
  /** Text of a template, path of one, or chatml, llama3, qwen, gemma, mistral, phi. Default `chatml` (Unsloth). */
  chatTemplate?: string;
  /** What rows call the parts of a turn; it is checked, since rows are read by any of the usual names. Default: not checked. */
  mapping?: TurnMapping;
}

const keys: OptionKeys<ChatTemplateOptions> = { chatTemplate: "optional text", mapping: "optional" };
const mappingKeys: OptionKeys<TurnMapping> = {
  role: "optional text",
  content: "optional text",
  user: "optional text",
  assistant: "optional text",
};

/** The names that rows are read by, whatever the template is. */
const readNames: Readonly<Record<keyof TurnMapping, readonly string[]>> = {
  role: ["role", "from"],
  content: ["content", "value"],
  user: ["user", "human", "prompter"],
  assistant: ["assistant", "gpt", "chatgpt", "bing", "bard", "bot", "chatbot", "model", "ai"],
};

/**
 * The model with another chat template (Unsloth's get_chat_template, which takes and gives the tokenizer: here the model has it). The
 * template is used in training and in answers, and saved with what is trained.
 */
export async function getChatTemplate(
  model: FastLanguageModel,
  options: ChatTemplateOptions = {},
): Promise<FastLanguageModel> {
  const { chatTemplate = "chatml", mapping = {} } = parseKeys(keys, options, "getChatTemplate");
  const names = parseKeys(mappingKeys, mapping, "getChatTemplate.mapping");
  for (const [part, name] of Object.entries(names) as [keyof TurnMapping, string][]) {
    if (readNames[part].includes(name)) continue;
    throw new OptionError(
      `[mapping] expected ${readNames[part].join(" or ")} for ${part}, got ${JSON.stringify(name)}; rename it in the rows, or give the trainer a formattingFunc`,
    );
  }
  return model.withChatTemplate(chatTemplate);
}
