// Messages and conversations as chat formats have them.

/** Roles of the chat formats. Most templates pass over any other role without a word, and its text would be lost. */
export const messageRoles = ["system", "developer", "user", "assistant", "tool", "function", "ipython"] as const;

/** One turn of a conversation, in the form of the OpenAI and Hugging Face chat formats. */
export interface Message {
  /** One of {@link messageRoles}. */
  role: string;
  /** Text of the turn, or its parts; null where an assistant turn holds tool calls only. */
  content: string | TextPart[] | null;
  /** Tool calls of an assistant turn. */
  tool_calls?: unknown[];
  /** False: this assistant turn is context and is not trained on. Default true. OpenAI's `weight: 0` is read as false. */
  train?: boolean;
  /** Loss weight of the tokens of this assistant turn, from 0 (OpenAI's, which is 0 or 1). Default 1. */
  weight?: number;
  /** Every other field of the row's message reaches the template unchanged; one whose value is null is absent there. */
  [field: string]: unknown;
}

/** A part of a content that is a list. Templates that want one text get the parts joined. */
export interface TextPart {
  type: "text";
  text: string;
  [field: string]: unknown;
}

/** The text of a message; null without any. */
export function textOf({ content }: Message): string | null {
  return Array.isArray(content) ? content.map((part) => part.text).join("") : content;
}

/** What a chat template renders. */
export interface Conversation {
  messages: Message[];
  /** Tool definitions for the template's `tools` variable. */
  tools?: unknown[];
  /** Further variables for the template (Hugging Face's `chat_template_kwargs`). */
  chatTemplateKwargs?: Record<string, unknown>;
}
