// The chat template and the end of sequence that `chatTemplatePath` stands for.
import { readFile, stat } from "node:fs/promises";
import { expandHome, fileOperation, OptionError } from "@tunesmith/core";
import { loadTokenizer } from "./tokenizer.ts";

/** What is taken of another tokenizer. */
export interface OtherTokenizer {
  chatTemplate: string;
  /** Null: the model's own stays. */
  eosToken: string | null;
}

/**
 * Reads a Jinja file, which gives a template alone, or the folder or GGUF file of a tokenizer, of which the end of sequence is taken as
 * well (TRL's clone_chat_template). `OptionError` where there is neither, or a tokenizer without a template.
 */
export async function readOtherTokenizer(given: string): Promise<OtherTokenizer> {
  const path = expandHome(given);
  const found = await stat(path).catch(() => null);
  const refused = (got: string) =>
    new OptionError(
      `[chatTemplatePath] expected a Jinja file, or the folder, GGUF file or hub model of a tokenizer with a chat template, got ${got}; correct it`,
    );
  if (found === null) throw refused(`${JSON.stringify(given)}, where nothing is`);
  if (found.isFile() && !path.endsWith(".gguf"))
    return { chatTemplate: await fileOperation("read", path, () => readFile(path, "utf8")), eosToken: null };
  const { chatTemplate, eosToken } = (await loadTokenizer(path)).info;
  if (chatTemplate === null) throw refused(`${JSON.stringify(given)}, which has none`);
  return { chatTemplate, eosToken: eosToken?.content ?? null };
}
