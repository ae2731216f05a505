// All data formats.
import { alpaca } from "./alpaca.ts";
import type { Format } from "./format.ts";
import { messages } from "./messages.ts";
import { openaiPreference } from "./openai-preference.ts";
import { preference } from "./preference.ts";
import { promptCompletion } from "./prompt-completion.ts";
import { promptOnly } from "./prompt-only.ts";
import { sharegpt } from "./sharegpt.ts";
import { text } from "./text.ts";
import { tokenized } from "./tokenized.ts";

/**
 * All formats. A row that has the columns of several is read as the first of them that is for the task at hand: ids as they are before
 * text (TRL), conversations before plain text.
 */
export const formats: readonly Format[] = [
  tokenized,
  messages,
  promptCompletion,
  sharegpt,
  alpaca,
  text,
  openaiPreference,
  preference,
  promptOnly,
];
