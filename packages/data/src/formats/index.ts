// All data formats.
import type { Format } from "./format.ts";
import { messages } from "./messages.ts";
import { promptCompletion } from "./prompt-completion.ts";
import { text } from "./text.ts";

/** All formats, the richest first: a row that has the columns of several is read as the first of them. */
export const formats: readonly Format[] = [messages, promptCompletion, text];
