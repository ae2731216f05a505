// Ollama's Modelfile of a GGUF file: its template, the tokens that end an answer, the parameters the model was published with.
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ArgumentError, exists, replaceFile } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import { ollamaTemplate } from "./ollama-template.ts";

/** The line by which a file says that it was written here. */
const header = "# Written by Tunesmith.";

/** Keys of generation_config.json, and Ollama's names for them. */
const parameters = {
  temperature: "temperature",
  top_p: "top_p",
  top_k: "top_k",
  min_p: "min_p",
  repetition_penalty: "repeat_penalty",
} as const;

/** A Modelfile that was written. */
export interface Modelfile {
  path: string;
  /** What its user should know. */
  notes: string[];
}

/** How a Modelfile is written. */
export interface ModelfileOptions {
  /** Folder of the model whose `generation_config.json` gives the parameters. Default: none, Ollama's own. */
  model?: string;
  /** Replace an earlier Modelfile of ours. Default false: refused. */
  overwrite?: boolean;
}

/**
 * Writes `NAME.Modelfile` beside `NAME.gguf`, for `ollama create`.
 *
 * @throws ArgumentError where a file is already at that place that was not written here, or `overwrite` is not set
 */
export async function writeModelfile(gguf: string, options: ModelfileOptions = {}): Promise<Modelfile> {
  const path = modelfilePath(gguf);
  await refuseForeign(path, options.overwrite === true);
  const { text, notes } = await modelfileOf(gguf, options.model);
  await replaceFile(path, text);
  return { path, notes };
}

/** Where the Modelfile of a GGUF file stands. */
export function modelfilePath(gguf: string): string {
  return `${gguf.replace(/\.gguf$/u, "")}.Modelfile`;
}

async function modelfileOf(gguf: string, folder: string | undefined): Promise<{ text: string; notes: string[] }> {
  const { tokenizer, info } = await loadModel(gguf);
  const lines = [header, `FROM ./${basename(gguf)}`];
  const notes: string[] = [];
  const template = ollamaTemplate(tokenizer);
  if (template !== null) lines.push(`TEMPLATE """${template}"""`);
  else if (tokenizer.info.chatTemplate === null)
    notes.push("the model has no chat template; Ollama completes text with it");
  else
    notes.push("the chat template has no form in Ollama's language; Ollama takes its own where it knows the template");
  const ends = [...new Set(info.eosTokenIds)].map((id) =>
    tokenizer.decode(Int32Array.of(id), { skipSpecialTokens: false }),
  );
  for (const end of ends.filter((text) => text !== "")) lines.push(`PARAMETER stop ${JSON.stringify(end)}`);
  for (const [name, value] of Object.entries(await generationParameters(folder)))
    lines.push(`PARAMETER ${name} ${value}`);
  return { text: `${lines.join("\n")}\n`, notes };
}

/** The numbers of generation_config.json under Ollama's names. */
async function generationParameters(folder: string | undefined): Promise<Record<string, number>> {
  const path = join(folder ?? "", "generation_config.json");
  if (folder === undefined || !(await exists(path))) return {};
  const given = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown> | null;
  const known = Object.entries(parameters).flatMap(([key, name]) => {
    const value = given?.[key];
    return typeof value === "number" ? [[name, value] as const] : [];
  });
  return Object.fromEntries(known);
}

async function refuseForeign(path: string, overwrite: boolean): Promise<void> {
  if (!(await exists(path))) return;
  const ours = (await readFile(path, "utf8").catch(() => "")).startsWith(header);
  if (ours && overwrite) return;
  const got = ours ? "an earlier one; ask to overwrite it" : "a file that was not written here; move it away";
  throw new ArgumentError(`[${path}] expected no file where the Modelfile goes, got ${got}`);
}
